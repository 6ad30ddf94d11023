/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an uplink to a pod, after decapsulation: known flows and new ones, answers of translated
 * connections, ICMP errors. What is the host's own passes to the stack; where a host endpoint
 * judges at the interface it has a flow too, and so has what is passed on.
 *
 * A source must be one that can come from outside: no packet claims a local pod's address, and
 * one from a tunnel comes from behind the node whose tunnel it was. That holds for every packet;
 * a known flow has it in its row.
 */
#ifndef MARGAY_LIB_UPLINK_IN_H
#define MARGAY_LIB_UPLINK_IN_H

#include "lib/decap.h"
#include "lib/flow_state.h"
#include "lib/frag.h"
#include "lib/host_in.h"
#include "lib/icmp.h"
#include "lib/icmp_path.h"
#include "lib/open.h"
#include "lib/recheck.h"
#include "lib/relay.h"
#include "lib/service_in.h"
#include "lib/uplink.h"
#include "lib/uplink_answer.h"
#include "lib/uplink_from.h"

/* What no pod of this node gets: the host's from the wire, from a tunnel perhaps another node's.
 */
static __always_inline int not_for_pods(struct __sk_buff *skb, struct packet *pkt)
{
	if (!(pkt->flags & PKT_FROM_TUNNEL))
		return MG_FINAL_NEXT;
	if (is_local_host(&pkt->to))
		return MG_FINAL_STACK;
	return pkt->to.flags & MG_ADDR_LOCAL ? -MG_DROP_BLACKHOLE : relay(skb, pkt);
}

/* Is the source of a packet of a known flow where the row's way back leads? */
static __always_inline bool source_known(const struct packet *pkt, const struct mg_flow *flow)
{
	__u32 back = !flow_direction(pkt, flow);
	__u16 way = back ? flow->way[1] : flow->way[0];

	return flow->flags & (MG_FLOW_WAY0_NODE << back) &&
	       (!(pkt->flags & PKT_FROM_TUNNEL) || way == pkt->in_node);
}

/* The same by a look-up, which fills the way. */
static __always_inline int check_source_known(struct packet *pkt, struct mg_flow *flow)
{
	struct mg_ident from, to;
	int r;

	ident_exact(&pkt->src, &from);
	ident_complete(&pkt->src, &from);
	ident_exact(&pkt->dst, &to);
	r = check_carried(pkt, &from, &to);
	if (r)
		return r;
	if (from.flags &
	    MG_ADDR_HOST) /* answers to a node go in the tunnel of the pod's own pool */
		from.flags |= to.flags & ADDR_MODES;
	if (flow_direction(pkt, flow))
		flow_keep_way(flow, &from, 0);
	else
		flow_keep_way(flow, &from, 1);
	return 0;
}

/* Step for a packet of a known flow of which more has to be found out than known_target() does.
 * Verified once. */
__weak __noinline int known_in(struct __sk_buff *skb, struct packet *pkt, struct mg_flow *flow)
{
	const struct mg_local *local = local_row();
	bool stack;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !flow || !local)
		return -MG_DROP_INTERNAL;
	stack = flow->flags & MG_FLOW_VIA_STACK;
	if (flow->flags & FLOW_TRANSLATED)
		return answer_in(skb, pkt, flow, local);
	r = source_known(pkt, flow) ? 0 : check_source_known(pkt, flow);
	if (r)
		return r;
	r = flow_recheck(pkt, flow);
	if (r)
		return reset_in(skb, pkt, local, r);
	flow_way(pkt, flow, local);
	flow_update(pkt, flow);
	if (!is_local_pod(&pkt->to))
		return not_for_pods(skb, pkt);
	pkt->dst_slot = pkt->to.slot;
	return stack ? MG_FINAL_STACK : uplink_deliver(skb, pkt);
}

/* The endpoint that gets a packet of which nothing else has to be found out, as most are: of a
 * settled flow to a pod of this node, with nothing changed since its last packet. */
static __always_inline struct mg_ep *known_target(struct packet *pkt, const struct mg_flow *flow)
{
	__u32 at = flow_direction(pkt, flow);
	struct mg_ep *ep;

	if (!flow_settled(pkt, flow) || flow->flags & (FLOW_TRANSLATED | MG_FLOW_VIA_STACK) ||
	    flow->flags & (MG_FLOW_WAY0_NODE << at) || !source_known(pkt, flow) ||
	    !flow_unchanged(pkt, flow))
		return NULL;
	ep = endpoint_by_slot(at ? flow->way[1] : flow->way[0]);
	return ep && endpoint_has(ep, &pkt->dst) ? ep : NULL;
}

static __always_inline int new_in(struct __sk_buff *skb, struct packet *pkt,
				  const struct mg_local *local)
{
	int r = open_ends(pkt);

	if (!r)
		r = check_carried(pkt, &pkt->from, &pkt->to);
	if (!r && pkt->host && !is_local_pod(&pkt->to))
		r = host_new_in(skb, pkt);
	if (r)
		return r;
	if (!is_local_pod(&pkt->to))
		return not_for_pods(skb, pkt);
	if (pkt->family == 6 && local->flags & MG_LOCAL_NO_IPV6)
		return -MG_DROP_IPV6_OFF;
	pkt->dst_slot = pkt->to.slot;
	pkt->flow_flags = MG_FLOW_JUDGED_IN;
	if (pkt->flags & PKT_FROM_TUNNEL)
		pkt->flow_flags |= MG_FLOW_FROM_TUNNEL;
	r = open_flow(pkt, local, PKT_JUDGE_IN);
	if (r == -MG_DROP_NO_FLOW && pkt->from.node) /* no word to strangers who probe */
		return reset_in(skb, pkt, local, r);
	return r ? r : uplink_deliver(skb, pkt);
}

/* Verified once. */
__weak __noinline int error_in(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	struct mg_ident from;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	ident_exact(&pkt->src, &from);
	if (pkt->flags & PKT_FROM_TUNNEL)
		ident_complete(&pkt->src, &from);
	r = check_from(pkt, &from);
	if (r)
		return r;
	if (addr_is_own(local, &pkt->dst))
		learn_path(skb, pkt);
	r = icmp_error_match(skb, pkt);
	ident_exact(&pkt->dst, &pkt->to);
	if (!is_local_pod(&pkt->to)) {
		r = r && pkt->host ? host_alone_in(skb, pkt) : 0;
		return r ? r : not_for_pods(skb, pkt);
	}
	if (r)
		return r;
	pkt->dst_slot = pkt->to.slot;
	return uplink_deliver(skb, pkt);
}

/* To this node's own address, and no answer that has to be translated. */
static __always_inline int host_in(struct packet *pkt)
{
	struct mg_ident from;
	int r;

	ident_exact(&pkt->src, &from);
	if (pkt->flags & PKT_FROM_TUNNEL)
		ident_complete(&pkt->src, &from);
	else if (!is_local_pod(&from))
		return MG_FINAL_NEXT; /* of its own addresses on the wire the stack takes care */
	r = check_from(pkt, &from);
	return r ? r : MG_FINAL_STACK;
}

/* Step for a packet without a row. Verified once. */
__weak __noinline int unknown_in(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	if (front_has_ports(pkt->proto)) {
		r = service_new_in(pkt);
		if (r)
			return r == -MG_DROP_NO_BACKEND ? service_refuse_in(skb, pkt) : r;
		if (pkt->flags & PKT_REWRITE_DST)
			return service_pass(skb, pkt);
	}
	return addr_is_own(local, &pkt->dst) && !pkt->host ? host_in(pkt) : new_in(skb, pkt, local);
}

/* Step for a fragment that came before its first one: r says so. The host puts its own together, in
 * any order; without the first one, which is judged, they are nothing. Verified once. */
__weak __noinline int fragment_in(struct packet *pkt, int r)
{
	const struct mg_local *local = local_row();

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	if (addr_is_own(local, &pkt->dst))
		return host_in(pkt);
	ident_exact(&pkt->dst, &pkt->to);
	return is_local_pod(&pkt->to) || pkt->flags & PKT_FROM_TUNNEL ? r : host_in(pkt);
}

static __always_inline int uplink_in_steps(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_flow *flow;
	struct mg_ep *ep;
	int r;

	r = frag_track(pkt);
	if (!r && pkt->host) {
		r = host_untracked(pkt, MG_STAGE_UNTRACKED_IN);
		if (r)
			return r;
	}
	if (pkt->flags & PKT_ICMP_ERROR)
		return error_in(skb, pkt);
	if (r)
		return fragment_in(pkt, r);
	flow_key_near(pkt);
	flow = flow_find(pkt);
	if (!flow)
		return unknown_in(skb, pkt);
	ep = known_target(pkt, flow);
	if (!ep)
		return known_in(skb, pkt, flow);
	flow_touch(pkt, flow);
	pkt->dst_slot = ep->slot;
	return uplink_hand_over(skb, pkt, ep);
}

/* Where it came in: an uplink, or a tunnel, where the endpoint for all interfaces judges. */
static __always_inline void enter(struct packet *pkt, const struct mg_local *local)
{
	pkt->side[PKT_OUT] = pkt->ifindex;
	if (!(pkt->flags & PKT_FROM_TUNNEL))
		return;
	pkt->side[PKT_OUT] = MG_SIDE_TUNNEL;
	pkt->host = local->host_any;
}

static __always_inline int uplink_in(struct __sk_buff *skb, struct packet *pkt,
				     const struct mg_local *local)
{
	int r, opened;

	enter(pkt, local);
	r = uplink_in_steps(skb, pkt);
	if (!pkt->outer_length || (r != MG_FINAL_STACK && r != MG_FINAL_NEXT))
		return r;
	/* the stack gets it without its tunnel */
	opened = decap_finish(skb, pkt);
	return opened ? opened : r;
}

#endif
