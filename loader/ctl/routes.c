/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "DESTINATION", .path = ".destination" },
	{ .title = "GATEWAY", .path = ".gateway" },
	{ .title = "DEVICE", .path = ".device" },
	{ .title = "MTU", .path = ".mtu" },
	{ .title = "SOURCE", .path = ".source" },
	{ .title = "BLACKHOLE", .path = ".blackhole" },
};

int verb_routes(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = { .op = "routes",
				   .doc = "Kernel routes that the agent keeps on this node.",
				   .nothing = "No routes.",
				   .columns = columns,
				   .count = sizeof(columns) / sizeof(columns[0]) };

	return show_agent(ctl, argc, argv, &show);
}
