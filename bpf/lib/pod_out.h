/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a pod: known flows and new ones, to where they go. The receiver's policy is judged here
 * too when the receiver is a pod of this node: nothing behind sees the packet again.
 */
#ifndef MARGAY_LIB_POD_OUT_H
#define MARGAY_LIB_POD_OUT_H

#include "lib/deliver.h"
#include "lib/encap.h"
#include "lib/frag.h"
#include "lib/icmp.h"
#include "lib/mtu.h"
#include "lib/nat.h"
#include "lib/open.h"
#include "lib/reset.h"
#include "lib/rewrite.h"
#include "lib/route.h"

static __always_inline bool goes_to_pod(const struct packet *pkt)
{
	return local_slot(&pkt->to) != MG_SLOT_NONE;
}

static __always_inline bool goes_to_host(const struct packet *pkt)
{
	return (pkt->to.flags & MG_ADDR_HOST) && (pkt->to.flags & MG_ADDR_LOCAL);
}

/* What has no way, whatever policy says: an address of our own blocks that no pod has, or of a
 * pool whose node nobody knows (outside it would leak). */
static __always_inline int check_reachable(const struct packet *pkt)
{
	__u32 flags = pkt->to.flags;

	if (goes_to_pod(pkt) || goes_to_host(pkt))
		return 0;
	if ((flags & MG_ADDR_LOCAL) && (flags & (MG_ADDR_BLOCK | MG_ADDR_POD)))
		return -MG_DROP_BLACKHOLE;
	return (flags & MG_ADDR_POOL) && !pkt->to.node ? -MG_DROP_NO_ROUTE : 0;
}

/* Out of an uplink; route_node() or route_world() has chosen it. */
static __always_inline int send_out(struct __sk_buff *skb, struct packet *pkt)
{
	int r = too_big(skb, pkt);

	/* what is answered is answered to the sender as it is known inside */
	if (!r)
		r = hop(skb, pkt);
	if (!r)
		r = rewrite(skb, pkt);
	return r ? r : encap(skb, pkt);
}

/* To an uplink or the stack; the rows are there. */
__weak __noinline int leave_node(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (!pkt->to.node) {
		r = pkt->out_ifindex ? 0 : route_world(skb, pkt);
		return r ? r : send_out(skb, pkt);
	}
	pkt->out_node = pkt->to.node;
	r = route_node(pkt);
	return r ? r : send_out(skb, pkt);
}

__weak __noinline int leave_near(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_ep *ep;
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	pkt->dst_slot = pkt->to.slot;
	r = deliver_target(pkt, &ep);
	return r ? r : deliver_near(skb, pkt, ep);
}

static __always_inline int leave(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if ((pkt->ep_flags & MG_EP_THROUGH_STACK) || goes_to_host(pkt))
		return MG_FINAL_STACK;
	if (goes_to_pod(pkt))
		return leave_near(skb, pkt);
	r = check_reachable(pkt);
	return r ? r : leave_node(skb, pkt);
}

/* A flow that is translated on its way out, or, of one whose answers are, a packet that no
 * row of ours lets through. */
static __always_inline void use_translation(struct packet *pkt, const struct mg_flow *flow)
{
	pkt->xlat = flow->xlat;
	pkt->xport = flow->way[1];
	pkt->flags |= flow->flags & MG_FLOW_SNAT ? PKT_REWRITE_SRC : PKT_REWRITE_DST;
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
	r = flow_recheck(pkt, flow);
	if (r)
		return r;
	if (flags & FLOW_TRANSLATED)
		use_translation(pkt, flow);
	if (!(flags & MG_FLOW_VIA_STACK))
		flow_way(pkt, flow, local);
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

__weak __noinline int new_out(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	__u32 sides = PKT_JUDGE_OUT;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	r = flow_admit(pkt, local);
	if (!r)
		r = open_ends(pkt);
	if (!r)
		r = check_reachable(pkt);
	if (r)
		return r;
	pkt->dst_slot = local_slot(&pkt->to);
	if (pkt->dst_slot)
		sides |= PKT_JUDGE_IN;
	r = open_judge(pkt, sides);
	return r ? r : create_out(skb, pkt, local);
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
	flow = flow_find(pkt, local);
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
