/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/rule_words.h"
#include "ctl/show.h"
#include "ctl/verb.h"

/* IANA protocol numbers that policies name. */
static char *protocol(const json_t *row)
{
	json_int_t number = json_integer_value(json_object_get(row, "proto"));

	switch (number) {
	case IPPROTO_TCP:
		return xstrdup("tcp");
	case IPPROTO_UDP:
		return xstrdup("udp");
	case IPPROTO_SCTP:
		return xstrdup("sctp");
	case IPPROTO_ICMP:
		return xstrdup("icmp");
	case IPPROTO_ICMPV6:
		return xstrdup("icmpv6");
	}
	return xasprintf("%lld", (long long)number);
}

static char *translated(const json_t *row)
{
	const char *src = json_text_at(row, "translated_src");
	const char *dst = json_text_at(row, "translated_dst");
	long long port = json_integer_value(json_object_get(row, "translated_port"));

	if (!src && !dst)
		return NULL;
	return xasprintf("%s %s port %lld", src ? "from" : "to", src ? src : dst, port);
}

static char *egress_rule(const json_t *row)
{
	return rule_words(json_object_get(row, "egress_rule"));
}

static char *ingress_rule(const json_t *row)
{
	return rule_words(json_object_get(row, "ingress_rule"));
}

static const struct table_column columns[] = {
	{ .title = "TABLE", .path = ".table" },
	{ .title = "PROTO", .text = protocol },
	{ .title = "SOURCE", .path = ".src" },
	{ .title = "SPORT", .path = ".sport" },
	{ .title = "DESTINATION", .path = ".dst" },
	{ .title = "DPORT", .path = ".dport" },
	{ .title = "PACKETS", .path = ".packets" },
	{ .title = "BYTES", .path = ".bytes" },
	{ .title = "TRANSLATED", .text = translated },
	{ .title = "STATE", .path = ".state" },
	{ .title = "STAGED", .text = staged_words },
	{ .title = "EGRESS-RULE", .text = egress_rule, .when = TABLE_WIDE },
	{ .title = "INGRESS-RULE", .text = ingress_rule, .when = TABLE_WIDE },
};

int verb_flows(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = { .op = "flows",
				   .doc = "Live flows of this node.",
				   .nothing = "No flows.",
				   .columns = columns,
				   .count = sizeof(columns) / sizeof(columns[0]) };

	return show_agent(ctl, argc, argv, &show);
}
