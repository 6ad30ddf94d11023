/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an uplink to a service: node ports, external and load balancers' addresses. The backend is a
 * pod of this node, or of another: then the packet is carried there in a tunnel with the client's
 * address kept, and the answer returns by this node, which alone knows the translation. Policy at
 * the backend's node judges the client. Rows are those of service.h.
 */
#ifndef MARGAY_LIB_SERVICE_IN_H
#define MARGAY_LIB_SERVICE_IN_H

#include "lib/deliver.h"
#include "lib/flow_state.h"
#include "lib/icmp_reply.h"
#include "lib/mtu.h"
#include "lib/open.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/service.h"
#include "lib/uplink.h"
#include "lib/uplink_from.h"

/* --- where it goes ------------------------------------------------------------------------ */

/* In what kind of tunnel to another node's pod: its pool's, in the same subnet too; of a pool
 * without one, a kind that is in use here. */
static __always_inline __u16 carry_kind(const struct mg_ident *to, const struct mg_local *local)
{
	if (to->flags & (MG_ADDR_IPIP | MG_ADDR_VXLAN))
		return to->flags & (MG_ADDR_IPIP | MG_ADDR_VXLAN);
	if (local->flags & MG_LOCAL_VXLAN)
		return MG_ADDR_VXLAN;
	return local->flags & MG_LOCAL_IPIP ? MG_ADDR_IPIP : 0;
}

static __always_inline bool is_far_pod(const struct mg_ident *to)
{
	return to->node && to->flags & (MG_ADDR_POD | MG_ADDR_BLOCK) &&
	       !(to->flags & (MG_ADDR_LOCAL | MG_ADDR_HOST));
}

/* The same of a known flow's way, which is kept without what it is. */
static __always_inline bool goes_far(const struct mg_ident *to)
{
	return to->node && !(to->flags & (MG_ADDR_LOCAL | MG_ADDR_HOST));
}

/* What a router does: the hop, then the new destination, then the tunnel. What does not fit is told
 * to the client; what may be cut the stack cuts, whose way is the same (to_netdev). */
static __always_inline int carry(struct __sk_buff *skb, struct packet *pkt,
				 const struct mg_local *local)
{
	__u32 mtu;
	int r;

	if (pkt->flags & PKT_FROM_TUNNEL) /* out of one and into another: relay.h */
		return -MG_DROP_NO_ROUTE;
	pkt->to.flags = carry_kind(&pkt->to, local);
	if (!pkt->to.flags)
		return -MG_DROP_NAT_UNSUPPORTED;
	pkt->out_node = pkt->to.node;
	r = route_node(pkt);
	if (r)
		return r;
	mtu = mtu_exceeded(skb, pkt);
	if (mtu && pkt->flags & PKT_DF)
		return reply_too_big(skb, pkt, mtu);
	if (mtu) {
		r = rewrite(skb, pkt);
		return r ? r : MG_FINAL_STACK;
	}
	r = add_link(skb, pkt);
	if (!r)
		r = ttl_decrement(skb, pkt);
	if (!r)
		r = rewrite(skb, pkt);
	return r ? r : encap(skb, pkt);
}

/* Step for a packet whose rows are there: pkt->to is the backend, and nothing of its bytes has
 * changed. Verified once. */
__weak __noinline int service_pass(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	/* from a tunnel the stack answers: uplink_deliver() */
	if (pkt->ttl <= 1 && !(pkt->flags & PKT_FROM_TUNNEL))
		return reply_ttl(skb, pkt);
	if (!is_local_pod(&pkt->to))
		return goes_far(&pkt->to) ? carry(skb, pkt, local) : -MG_DROP_BLACKHOLE;
	pkt->dst_slot = pkt->to.slot;
	r = decap_finish(skb, pkt);
	if (!r)
		r = rewrite(skb, pkt);
	return r ? r : uplink_deliver(skb, pkt);
}

/* --- new flows ---------------------------------------------------------------------------- */

/* Pods and nodes of the cluster reach all endpoints, also under policy Local. */
static __always_inline __u32 service_scope(const struct packet *pkt)
{
	return pkt->from.flags & (MG_ADDR_POD | MG_ADDR_HOST) ? MG_FRONT_NEAR : MG_FRONT_FAR;
}

/* Is it for a service at all? A cluster address is not served to the uplinks: every frontend that
 * is has one for clients from outside. Without a row a segment in midstream is no service's; at the
 * node's own address it may be a socket's, whatever its port. */
static __always_inline int service_asked(const struct packet *pkt, const struct mg_local *local)
{
	if (!service_front(pkt, MG_FRONT_FAR))
		return 0;
	if (pkt->proto != IPPROTO_TCP || is_opening(pkt))
		return 1;
	return addr_is_own(local, &pkt->dst) ? 0 : -MG_DROP_NO_FLOW;
}

/* Both ends are known, the backend is the destination: may the flow be? */
static __always_inline int service_admit(struct packet *pkt, const struct mg_local *local)
{
	int r = open_ends(pkt);

	if (r)
		return r;
	if (pkt->flags & PKT_FROM_TUNNEL)
		pkt->flow_flags |= MG_FLOW_FROM_TUNNEL;
	if (is_local_pod(&pkt->to)) {
		pkt->dst_slot = pkt->to.slot;
		r = open_judge(pkt, PKT_JUDGE_IN);
	} else if (is_far_pod(&pkt->to)) {
		pkt->side[PKT_IN] = MG_SIDE_TUNNEL;
	} else {
		r = pkt->to.flags & MG_ADDR_LOCAL && pkt->to.flags & MG_ADDR_BLOCK
			    ? -MG_DROP_BLACKHOLE
			    : -MG_DROP_NAT_UNSUPPORTED;
	}
	return r ? r : open_host_sides(pkt, local);
}

/* Step: nobody is behind the service. Verified once. */
__weak __noinline int service_refuse_in(struct __sk_buff *skb, struct packet *pkt)
{
	if (!pkt)
		return -MG_DROP_INTERNAL;
	return pkt->flags & PKT_FROM_TUNNEL ? -MG_DROP_NO_BACKEND : service_refuse(skb, pkt);
}

static __always_inline int service_choose(struct packet *pkt, const struct mg_local *local)
{
	int r = open_ends(pkt);

	if (!r)
		r = check_from(pkt, &pkt->from);
	if (!r)
		r = flow_admit(pkt, local);
	return r ? r : service_pick(pkt, service_scope(pkt));
}

/* Step for a packet without a row: 0 without PKT_REWRITE_DST: it is for no service; with it, its
 * rows are there. Verified once. */
__weak __noinline int service_new_in(struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	r = service_asked(pkt, local);
	if (r <= 0)
		return r;
	r = service_choose(pkt, local);
	if (r)
		return r;
	if (addr_equal(&pkt->xlat, &pkt->dst) && pkt->xport == pkt->dport) {
		/* a socket of the host is what stands behind its own address */
		pkt->flags &= ~PKT_REWRITE_DST;
		return 0;
	}
	packet_ahead(pkt);
	r = service_admit(pkt, local);
	packet_ahead(pkt);
	return r ? r : service_open(pkt);
}

/* --- answers ------------------------------------------------------------------------------ */

/* Step for an answer of another node's pod to a client outside: taken out of the tunnel, in the
 * service's name, out of the uplink by which the client came (out_ifindex), where the kernel's
 * routes know the neighbour; to another node that asked, to that one. use_translation() was.
 * Verified once. */
__weak __noinline int service_answer_out(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	r = decap_finish(skb, pkt);
	if (!r)
		r = add_link(skb, pkt);
	if (!r)
		r = ttl_decrement(skb, pkt);
	if (!r)
		r = rewrite(skb, pkt);
	if (r)
		return r;
	if (pkt->to.node) {
		pkt->out_node = pkt->to.node;
		r = route_node(pkt);
		return r ? r : encap(skb, pkt);
	}
	if (!pkt->out_ifindex || pkt->out_ifindex >= MG_SIDE_TUNNEL)
		return -MG_DROP_NO_ROUTE;
	trace_step(MG_STEP_FORWARD, pkt->out_ifindex, 0, 0);
	return MG_FINAL_NEIGH;
}

#endif
