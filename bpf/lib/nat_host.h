/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A socket of this node that opens a connection on the very tuple on which a translated one's
 * answers come: its packets are translated to a free port, or both would get each other's
 * answers. Translation avoids sockets that are there when it chooses, and its ranges keep clear
 * of ephemeral ports, so this is for sockets that bind a port of the ranges later.
 *
 * The two rows are those of nat.h but for the opener's, whose key is taken: it stands in a key
 * space of its own (MG_KEY_HOST).
 */
#ifndef MARGAY_LIB_NAT_HOST_H
#define MARGAY_LIB_NAT_HOST_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "lib/epoch.h"
#include "lib/nat.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/rewrite.h"

/* Could the source be a tuple that translation gave away? Without a look at the flows. */
static __always_inline bool nat_host_possible(const struct mg_local *local,
					      const struct packet *pkt)
{
	if (pkt->flags & (PKT_ICMP_ERROR | PKT_FRAGMENT) || nat_fixed(pkt))
		return false;
	return nat_in_ranges(local, pkt->sport);
}

/* The row of another connection's answers at the packet's own key, turned around. */
static __always_inline bool nat_host_taken(struct packet *pkt)
{
	struct mg_flow *row = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);

	if (!row)
		row = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	return row && row->flags & MG_FLOW_DNAT && !flow_expired(pkt, row) &&
	       !(row->flags & MG_FLOW_FROM_B) != !(pkt->flags & PKT_SWAPPED);
}

/* Both rows. A connection that is under way without them was here first. */
static __always_inline int nat_host_open(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_control *control = control_row();

	if (!control)
		return -MG_DROP_INTERNAL;
	pkt->tcp_state = 0;
	if (pkt->proto == IPPROTO_TCP) {
		if (!is_opening(pkt))
			return 0;
		pkt->tcp_state = MG_TCP_SYN;
	}
	pkt->change = READ_ONCE(control->change);
	pkt->epoch = 0;
	pkt->flow_flags = MG_FLOW_HOST;
	pkt->xlat = pkt->src;
	if (nat_rows(skb, pkt))
		return -MG_DROP_NAT_EXHAUSTED;
	pkt->flags |= PKT_REWRITE_SRC;
	trace_step(MG_STEP_NAT, bpf_ntohs(pkt->xport), bpf_ntohl(pkt->xlat.w[3]), 0);
	return 0;
}

static __always_inline int nat_host_steps(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_flow *flow;

	flow_key_near(pkt);
	if (!nat_host_taken(pkt))
		return 0;
	pkt->key.space = MG_KEY_HOST;
	flow = flow_find(pkt);
	if (!flow)
		return nat_host_open(skb, pkt);
	pkt->xlat = flow->xlat;
	pkt->xport = flow->way[1];
	pkt->flags |= PKT_REWRITE_SRC;
	flow_update_near(pkt, flow);
	return 0;
}

/* Step for a packet of this node's own sockets on its way out. Verified once. */
__weak __noinline int nat_host(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	r = nat_host_steps(skb, pkt);
	if (!r)
		r = rewrite(skb, pkt);
	return r ? r : MG_FINAL_NEXT;
}

#endif
