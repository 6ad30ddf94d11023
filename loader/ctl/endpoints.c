/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "NAMESPACE", .path = ".namespace" },
	{ .title = "POD", .path = ".pod" },
	{ .title = "INTERFACE", .path = ".interface" },
	{ .title = "IPV4", .path = ".ipv4" },
	{ .title = "IPV6", .path = ".ipv6" },
	{ .title = "IDENTITY", .path = ".identity" },
	{ .title = "READY", .path = ".ready" },
	{ .title = "SLOT", .path = ".slot", .when = TABLE_WIDE },
	{ .title = "IFINDEX", .path = ".ifindex", .when = TABLE_WIDE },
	{ .title = "INGRESS-SET", .path = ".ingress_set", .when = TABLE_WIDE },
	{ .title = "EGRESS-SET", .path = ".egress_set", .when = TABLE_WIDE },
	{ .title = "CONTAINER", .path = ".container", .when = TABLE_WIDE },
};

int verb_endpoints(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.op = "endpoints",
		.doc = "The endpoints (interfaces of pods and containers) of this node.",
		.nothing = "No endpoints on this node.",
		.columns = columns,
		.count = sizeof(columns) / sizeof(columns[0])
	};

	return show_agent(ctl, argc, argv, &show);
}
