/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a pod: known flows and new ones, to where they go. The receiver's policy is judged here
 * too when the receiver is a pod of this node: nothing behind sees the packet again.
 */
#ifndef MARGAY_LIB_POD_OUT_H
#define MARGAY_LIB_POD_OUT_H

#include "lib/frag.h"
#include "lib/icmp.h"
#include "lib/nat.h"
#include "lib/open.h"
#include "lib/pod_leave.h"
#include "lib/reset.h"
#include "lib/service.h"

/* A translated flow: checked and routed with the tuple that its receiver knows, which is not yet
 * the packet's. */
static __always_inline int known_translated(struct packet *pkt, struct mg_flow *flow,
					    const struct mg_local *local)
{
	bool service = flow_is_service(flow), hairpin;
	int r;

	/* kept where ICMP errors have their quote: the stack has no room */
	pkt->inner_dst = pkt->dst;
	pkt->inner_dport = pkt->dport;
	hairpin = service && flow_is_hairpin(flow, &pkt->src, &pkt->dst);
	/* xlat: the service's address, for host endpoints (host.h) */
	pkt->xlat = flow->flags & MG_FLOW_DNAT ? pkt->dst : flow->xlat;
	pkt->xport = flow->flags & MG_FLOW_DNAT ? pkt->dport : flow->way[1];
	if (service && flow->flags & MG_FLOW_DNAT) {
		pkt->dst = flow->xlat;
		pkt->dport = flow->way[1];
	}
	r = flow_recheck(pkt, flow);
	if (hairpin)
		pkt->dst = pkt->src;
	if (!r && !(flow->flags & MG_FLOW_VIA_STACK))
		flow_way(pkt, flow, local);
	pkt->dst = pkt->inner_dst;
	pkt->dport = pkt->inner_dport;
	if (!r)
		use_translation(pkt, flow);
	return r;
}

__weak __noinline int known_out(struct packet *pkt, struct mg_flow *flow)
{
	const struct mg_local *local = local_row();
	__u16 flags;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !flow || !local)
		return -MG_DROP_INTERNAL;
	flags = flow->flags;
	if (flags & FLOW_TRANSLATED) {
		r = known_translated(pkt, flow, local);
	} else {
		r = flow_recheck(pkt, flow);
		if (!r && !(flags & MG_FLOW_VIA_STACK))
			flow_way(pkt, flow, local);
	}
	if (r)
		return r;
	flow_update_near(pkt, flow);
	return flags & MG_FLOW_VIA_STACK ? MG_FINAL_STACK : 0;
}

/* The endpoint that gets a packet of which nothing else has to be found out, as most are: of an
 * settled flow to a pod of this node, with nothing changed since its last packet. */
static __always_inline struct mg_ep *known_target(struct packet *pkt, const struct mg_flow *flow)
{
	struct mg_ep *ep;
	__u16 way;

	if (!flow_settled(pkt, flow) || (flow->flags & (FLOW_TRANSLATED | MG_FLOW_VIA_STACK)) ||
	    (pkt->ep_flags & MG_EP_THROUGH_STACK) || !flow_unchanged(pkt, flow))
		return NULL;
	if (flow->flags & (pkt->flags & PKT_SWAPPED ? MG_FLOW_WAY1_NODE : MG_FLOW_WAY0_NODE))
		return NULL;
	way = pkt->flags & PKT_SWAPPED ? flow->way[1] : flow->way[0];
	ep = endpoint_by_slot(way);
	return ep && endpoint_has(ep, &pkt->dst) ? ep : NULL;
}

/* To another node's own address that is not translated: in the tunnel of the pod's own pool, so
 * that no pod's address shows on the underlay, and as that node's packets to the pod come. */
static __always_inline void way_of_host(struct packet *pkt, const struct mg_local *local)
{
	if (!(pkt->to.flags & MG_ADDR_HOST) || goes_to_host(pkt))
		return;
	if (nat_wanted(pkt, local))
		pkt->to.node = 0;
	else
		pkt->to.flags |= pkt->from.flags & ADDR_MODES;
}

/* The way of a new flow, and by it the side by which it leaves: 0, a reason, or MG_FINAL_STACK. */
static __always_inline int find_exit(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (goes_to_host(pkt)) {
		pkt->side[PKT_IN] = MG_SIDE_OWN;
		return 0;
	}
	if (goes_to_pod(pkt) || (pkt->ep_flags & MG_EP_THROUGH_STACK))
		return 0;
	if (!pkt->to.node)
		return route_world(skb, pkt);
	pkt->out_node = pkt->to.node;
	r = route_node(pkt);
	pkt->side[PKT_IN] = pkt->encap ? MG_SIDE_TUNNEL : pkt->out_ifindex;
	return r;
}

/* A new flow to a service: its way and what host endpoints say, of the backend. Another node's own
 * address sees the pod's: in the pool's tunnel, or by a route of that node. */
static __always_inline int admit_service(struct __sk_buff *skb, struct packet *pkt,
					 const struct mg_local *local)
{
	int way;

	if (pkt->to.flags & MG_ADDR_HOST && !goes_to_host(pkt))
		pkt->to.flags |= pkt->from.flags & ADDR_MODES;
	else if (!pkt->to.node && nat_wanted(pkt, local))
		return -MG_DROP_NAT_UNSUPPORTED;
	way = find_exit(skb, pkt);
	return way < 0 ? way : open_host_sides(pkt, local);
}

/* The rows of a flow that policy lets out. */
static __always_inline int create_out(struct __sk_buff *skb, struct packet *pkt,
				      const struct mg_local *local)
{
	int way, r;

	way_of_host(pkt, local);
	way = find_exit(skb, pkt);
	if (way < 0)
		return way;
	r = open_host_sides(pkt, local);
	if (r)
		return r;
	if (!way && pkt->out_ifindex && !pkt->to.node) {
		r = nat_out(skb, pkt);
		return r || (pkt->flags & PKT_REWRITE_SRC) ? r : flow_create(pkt);
	}
	/* through the stack: to_netdev translates */
	return flow_create(pkt) ?: way;
}

/* Ends, and policy: of both sides where both are here. */
static __always_inline int judge_out(struct packet *pkt)
{
	__u32 sides = PKT_JUDGE_OUT;
	int r = open_ends(pkt);

	if (!r)
		r = check_reachable(pkt);
	if (r)
		return r;
	pkt->dst_slot = local_slot(&pkt->to);
	if (pkt->dst_slot)
		sides |= PKT_JUDGE_IN;
	return open_judge(pkt, sides);
}

__weak __noinline int new_out(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	bool ahead;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	r = flow_admit(pkt, local);
	if (!r)
		r = service_pick(pkt, MG_FRONT_NEAR);
	if (r)
		return r == -MG_DROP_NO_BACKEND ? service_refuse(skb, pkt) : r;
	ahead = pkt->flags & PKT_REWRITE_DST;
	if (ahead)
		packet_ahead(pkt);
	r = judge_out(pkt);
	if (!r)
		r = ahead ? admit_service(skb, pkt, local) : create_out(skb, pkt, local);
	if (!ahead)
		return r;
	packet_ahead(pkt);
	return r ? r : service_open(pkt);
}

/* An ICMP error of the pod about a flow of its own. */
__weak __noinline int error_out(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	r = icmp_error_match(skb, pkt);
	if (r)
		return r;
	ident_exact(&pkt->dst, &pkt->to);
	ident_complete(&pkt->dst, &pkt->to);
	return 0;
}

static __always_inline int pod_out(struct __sk_buff *skb, struct packet *pkt,
				   const struct mg_local *local)
{
	struct mg_flow *flow;
	struct mg_ep *ep;
	int r;

	if (pkt->flags & PKT_ICMP_ERROR) {
		r = error_out(skb, pkt);
		return r ? r : leave(skb, pkt);
	}
	r = frag_track(pkt);
	if (r)
		return r;
	flow_key_near(pkt);
	flow = flow_find(pkt);
	ep = flow ? known_target(pkt, flow) : NULL;
	if (ep) {
		flow_touch(pkt, flow);
		pkt->dst_slot = ep->slot;
		return deliver_near(skb, pkt, ep);
	}
	r = flow ? known_out(pkt, flow) : new_out(skb, pkt);
	return r ? reset(skb, pkt, local, r) : leave(skb, pkt);
}

#endif
