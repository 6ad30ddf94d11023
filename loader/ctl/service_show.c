/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "SERVICE", .path = ".service" },   { .title = "NAME", .path = ".name" },
	{ .title = "ADDRESS", .path = ".address" },   { .title = "PORT", .path = ".port" },
	{ .title = "PROTOCOL", .path = ".protocol" }, { .title = "FOR", .path = ".for" },
	{ .title = "AFFINITY", .path = ".affinity" }, { .title = "BACKENDS", .path = ".backends" },
	{ .title = "TAKEN-BY", .path = ".taken_by" },
};

int verb_service_show(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.op = "services",
		.doc = "Services on this node: each address with the backends it leads to.",
		.nothing = "No services.",
		.columns = columns,
		.count = sizeof(columns) / sizeof(columns[0])
	};

	return show_agent(ctl, argc, argv, &show);
}
