// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The end of flows that nobody looks up again. Attached nowhere: the agent walks the tables and
 * runs it with the key of a row that has outlived its time, as the bytes behind an Ethernet
 * header. Decided is here, by what the row says now. What the row counted goes to its rules.
 *
 * It runs outside of any packet's way, and packets may come between its instructions, on the same
 * CPU too. Its packet row is a map of its own, and its additions are atomic.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>

#include "lib/flow.h"
#include "lib/packet.h"
#include "lib/tick.h"
#include "maps/rule_stats.h"
#include "maps/scratch.h"

static __always_inline void sweep_count(__u32 rule, __u64 packets, __u64 bytes)
{
	struct mg_rule_stats *stats;

	if (rule == MG_RULE_NONE || rule == MG_RULE_DENIED)
		return;
	stats = bpf_map_lookup_elem(&mg_rule_stats, &rule);
	if (!stats)
		return;
	__sync_fetch_and_add(&stats->packets, packets);
	__sync_fetch_and_add(&stats->bytes, bytes);
}

/* As flow_fold(). */
static __always_inline void sweep_fold(const struct mg_flow *flow)
{
	__u64 packets = flow->packets, bytes = flow->bytes;

	if (!(flow->flags & FLOW_TRANSLATED)) {
		packets += flow->back.packets;
		bytes += flow->back.bytes;
	}
	for (int side = 0; side < 2; side++) {
		if (!(flow->flags & (MG_FLOW_JUDGED_OUT << side))) {
			sweep_count(flow->side[side].place.rule, packets, bytes);
			continue;
		}
		sweep_count(flow->side[side].judged.rule, packets, bytes);
		sweep_count(flow->side[side].judged.staged_rule, packets, bytes);
	}
}

/* The packet that the row is of, as far as its partner's key depends on it. */
static __always_inline void sweep_packet(struct packet *pkt, const struct mg_flow *flow)
{
	const struct mg_flow_key *key = &pkt->key;
	bool from_b = flow->flags & MG_FLOW_FROM_B;

	pkt->src = from_b ? key->b : key->a;
	pkt->dst = from_b ? key->a : key->b;
	pkt->sport = from_b ? key->port_b : key->port_a;
	pkt->dport = from_b ? key->port_a : key->port_b;
	pkt->proto = key->proto;
	if (key->proto == IPPROTO_ICMP || key->proto == IPPROTO_ICMPV6)
		pkt->flags |= PKT_ICMP_QUERY;
}

/* A row that was deleted by somebody else meanwhile was folded there. */
static __always_inline bool sweep_delete(const struct mg_flow_key *key)
{
	bool e = !bpf_map_delete_elem(&mg_flow_e, key), t = !bpf_map_delete_elem(&mg_flow_t, key);

	return e || t;
}

/* 1: the flow is over, and its rows are gone. */
static __always_inline int sweep_flow(struct packet *pkt)
{
	struct mg_flow *flow = flow_row(pkt), *partner = NULL, last, last_back;

	if (!flow)
		return 0;
	sweep_packet(pkt, flow);
	if (flow->flags & FLOW_TRANSLATED) {
		flow_key_partner(pkt, flow);
		partner = flow_partner(pkt);
	}
	if (!flow_outlived(pkt, flow) || (partner && !flow_outlived(pkt, partner)))
		return 0;
	/* a deleted row's memory may be another flow's at once */
	last = *flow;
	if (partner)
		last_back = *partner;
	if (sweep_delete(&pkt->key))
		sweep_fold(&last);
	if (partner && sweep_delete(&pkt->key2))
		sweep_fold(&last_back);
	return 1;
}

SEC("tc")
int sweep(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct packet *pkt = bpf_map_lookup_elem(&mg_scratch, &zero);

	if (!pkt || bpf_skb_load_bytes(skb, ETH_HLEN, &pkt->key, sizeof(pkt->key)))
		return 0;
	pkt->hook = zero;
	pkt->flags = 0;
	pkt->transient = 0;
	tick_now(pkt);
	return sweep_flow(pkt);
}

char _license[] SEC("license") = "Dual BSD/GPL";
