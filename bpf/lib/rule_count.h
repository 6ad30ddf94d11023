/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What rules count (abi/policy.h, mg_rule_stats): a connection when it is judged; its packets and
 * bytes, which the flow's row keeps, when the flow ends or is judged again (flow.h).
 */
#ifndef MARGAY_LIB_RULE_COUNT_H
#define MARGAY_LIB_RULE_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"
#include "lib/packet.h"
#include "maps/rule_stats.h"

static __always_inline void rule_count(__u32 rule, __u64 connections, __u64 packets, __u64 bytes)
{
	struct mg_rule_stats *stats;

	if (rule == MG_RULE_NONE || rule == MG_RULE_DENIED)
		return;
	stats = bpf_map_lookup_elem(&mg_rule_stats, &rule);
	if (!stats)
		return;
	stats->connections += connections;
	stats->packets += packets;
	stats->bytes += bytes;
}

/* On the rules that decided one side, or would have. */
static __always_inline void judged_count(const struct mg_judged *judged, __u64 connections,
					 __u64 packets, __u64 bytes)
{
	rule_count(judged->rule, connections, packets, bytes);
	rule_count(judged->staged_rule, connections, packets, bytes);
}

/* A judgement's connection on the pods' rules that made it; denied packets have no flow to keep
 * their counts, so they are added at once. */
__weak __noinline int count_judgement(struct packet *pkt, __u32 denied)
{
	if (!pkt)
		return 0;
	judged_count(&pkt->judged[PKT_OUT], 1, denied, denied ? pkt->l3_length : 0);
	judged_count(&pkt->judged[PKT_IN], 1, denied, denied ? pkt->l3_length : 0);
	return 0;
}

#endif
