/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "IDENTITY", .path = ".identity" },
	{ .title = "ATOMS", .path = ".atoms" },
	{ .title = "ADDRESSES", .path = ".addresses" },
};

int verb_identities(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.op = "identities",
		.doc = "Identities: addresses that all rules active on this node treat alike.",
		.nothing = "No identities.",
		.columns = columns,
		.count = sizeof(columns) / sizeof(columns[0])
	};

	return show_agent(ctl, argc, argv, &show);
}
