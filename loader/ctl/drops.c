/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "HOOK", .path = ".hook" },	    { .title = "REASON", .path = ".reason" },
	{ .title = "PACKETS", .path = ".packets" }, { .title = "BYTES", .path = ".bytes" },
	{ .title = "MEANING", .path = ".meaning" },
};

int verb_drops(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = { .op = "drops",
				   .doc = "What the programs of this node dropped, by hook and "
					  "reason, since they were loaded.",
				   .nothing = "Nothing was dropped.",
				   .columns = columns,
				   .count = sizeof(columns) / sizeof(columns[0]) };

	return show_agent(ctl, argc, argv, &show);
}
