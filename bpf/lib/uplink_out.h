/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the host's stack sends out of an uplink: packets to pods of other nodes are put into their
 * tunnel, those of local pods that came through the stack are translated.
 */
#ifndef MARGAY_LIB_UPLINK_OUT_H
#define MARGAY_LIB_UPLINK_OUT_H

#include "lib/encap.h"
#include "lib/flow_state.h"
#include "lib/frag.h"
#include "lib/host_out.h"
#include "lib/icmp.h"
#include "lib/mtu.h"
#include "lib/nat_host.h"
#include "lib/route.h"
#include "lib/uplink.h"

/*
 * To another node's pod or block. Without encapsulation the kernel's route is as good as ours.
 *
 * Too large is what a router told of us alone (mg_pmtu): the route knows the rest. The sender is
 * told in any case: without DF it is the stack that cuts packets, by what it then knows.
 */
static __always_inline int to_node(struct __sk_buff *skb, struct packet *pkt,
				   const struct mg_local *local)
{
	__u32 mtu;
	int r;

	pkt->out_node = pkt->to.node;
	r = route_node(pkt);
	if (r)
		return r;
	if (pkt->encap != MG_ENCAP_NONE)
		pkt->host = local->host_any;
	r = host_leaves(skb, pkt, 0);
	if (r)
		return r;
	if (pkt->encap == MG_ENCAP_NONE)
		return MG_FINAL_NEXT;
	mtu = mtu_exceeded(skb, pkt);
	if (mtu)
		return reply_too_big(skb, pkt, mtu);
	r = add_link(skb, pkt);
	return r ? r : encap(skb, pkt);
}

/* Judged by from_pod, which left an untranslated row: the translated one takes its place. */
static __always_inline void inherit(struct packet *pkt, const struct mg_flow *flow)
{
	pkt->change = flow->change;
	pkt->epoch = flow->epoch;
	pkt->tcp_state = flow->state;
	pkt->flow_flags =
		(flow->flags & (MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_HOST)) | MG_FLOW_VIA_STACK;
	flow_sides_of(pkt, flow);
}

/* A local pod's packet that goes outside by the stack's way: a source is translated (natOutgoing),
 * or it answers the client of a service. Without either it passes, whatever it is. */
__weak __noinline int uplink_pod_out(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	struct mg_flow *flow;
	bool nat;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	nat = nat_wanted(pkt, local);
	if (pkt->flags & PKT_ICMP_ERROR) {
		r = icmp_error_match(skb, pkt);
		return r && nat ? r : MG_FINAL_NEXT;
	}
	r = frag_track(pkt);
	if (r)
		return nat ? r : MG_FINAL_NEXT;
	flow_key(pkt);
	flow = flow_find(pkt);
	if (flow && flow->flags & MG_FLOW_SNAT) {
		pkt->xlat = flow->xlat;
		pkt->xport = flow->way[1];
		pkt->flags |= PKT_REWRITE_SRC;
	} else {
		pkt->flow_flags = MG_FLOW_VIA_STACK;
		if (flow)
			inherit(pkt, flow);
		pkt->src_slot = pkt->from.slot;
		pkt->out_ifindex = pkt->ifindex;
		r = nat_out(skb, pkt);
	}
	if (!r)
		r = rewrite(skb, pkt);
	return r ? r : MG_FINAL_NEXT;
}

static __always_inline int uplink_out(struct __sk_buff *skb, struct packet *pkt,
				      const struct mg_local *local)
{
	int r;

	ident_exact(&pkt->dst, &pkt->to);
	ident_complete(&pkt->dst, &pkt->to);
	if (pkt->to.node && !(pkt->to.flags & (MG_ADDR_LOCAL | MG_ADDR_HOST)))
		return to_node(skb, pkt, local);
	r = host_leaves(skb, pkt, 0);
	if (r)
		return r;
	if (addr_is_own(local, &pkt->src))
		return nat_host_possible(local, pkt) ? nat_host(skb, pkt) : MG_FINAL_NEXT;
	ident_exact(&pkt->src, &pkt->from);
	/* natOutgoing, or an answer to a client of a service */
	return is_local_pod(&pkt->from) ? uplink_pod_out(skb, pkt) : MG_FINAL_NEXT;
}

#endif
