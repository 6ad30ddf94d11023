/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "NAMESPACE", .path = ".namespace" },
	{ .title = "POD", .path = ".pod" },
	{ .title = "INGRESS", .path = ".ingress[*].name" },
	{ .title = "EGRESS", .path = ".egress[*].name" },
};

int verb_policy_show(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.op = "policies",
		.doc = "Policies in force by endpoint of this node, in the order of evaluation.",
		.nothing = "No endpoints on this node.",
		.columns = columns,
		.count = sizeof(columns) / sizeof(columns[0])
	};

	return show_agent(ctl, argc, argv, &show);
}
