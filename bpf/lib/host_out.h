/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the stack sends out where a host endpoint judges: packets of the node's own sockets, and
 * what it passes on.
 */
#ifndef MARGAY_LIB_HOST_OUT_H
#define MARGAY_LIB_HOST_OUT_H

#include "lib/frag.h"
#include "lib/icmp.h"
#include "lib/open.h"
#include "lib/uplink.h"

/* The exit's first sight of a flow that another hook or uplink has opened. */
static __always_inline int host_first_seen(struct packet *pkt, struct mg_flow *flow, __u32 side)
{
	int r = open_ends(pkt);

	if (r)
		return r;
	pkt->flow_flags = flow->flags;
	flow_sides_of(pkt, flow);
	pkt->side[PKT_IN] = side;
	r = host_sides(pkt, HOST_EXIT | HOST_COUNT);
	if (r) {
		flow_end(pkt, flow);
		return r;
	}
	flow->side[PKT_IN].place.at = side;
	flow->side[PKT_IN].place.rule = pkt->judged[PKT_IN].rule;
	flow->flags |= MG_FLOW_JUDGED_HOST;
	return 0;
}

/* Did nobody count this packet where it came to the node? */
static __always_inline bool host_uncounted(const struct packet *pkt, const struct mg_flow *flow)
{
	bool back = pkt->flags & PKT_REVERSED;
	__u32 side = back ? flow->side[PKT_IN].place.at : flow->side[PKT_OUT].place.at;

	if (flow->flags & (back ? MG_FLOW_JUDGED_IN : MG_FLOW_JUDGED_OUT))
		return false;
	return !side || side == MG_SIDE_OWN;
}

static __always_inline int host_known(struct packet *pkt, struct mg_flow *flow, __u32 side)
{
	int r = flow_recheck(pkt, flow);

	if (!r && !(pkt->flags & PKT_REVERSED) && !(flow->flags & MG_FLOW_JUDGED_IN) &&
	    flow->side[PKT_IN].place.at != side)
		r = host_first_seen(pkt, flow, side);
	if (!r && host_uncounted(pkt, flow))
		flow_update(pkt, flow);
	return r;
}

/* What has no row. A local pod's packet had one when it left the pod: it is not made anew here,
 * where nobody judges for the pod. */
static __always_inline int host_new_out(struct packet *pkt, bool own, __u32 side)
{
	int r = open_ends(pkt);

	if (r)
		return r;
	pkt->side[PKT_OUT] = own ? MG_SIDE_OWN : 0;
	pkt->side[PKT_IN] = side;
	if (is_local_pod(&pkt->from))
		return host_sides(pkt, HOST_EXIT | HOST_COUNT);
	return open_host(pkt);
}

/* Step where a host endpoint judges: 0, or a reason. Verified once. */
__weak __noinline int host_out(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	bool own = !skb->ingress_ifindex;
	struct mg_flow *flow;
	__u32 side;
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	side = pkt->encap ? MG_SIDE_TUNNEL : pkt->ifindex;
	if (frag_track(pkt)) /* the first one is judged */
		return 0;
	if (own) {
		r = host_untracked(pkt, MG_STAGE_UNTRACKED_OUT);
		if (r || !pkt->host)
			return r;
	}
	/* of a flow that is known; one that is passed on was judged where it came in */
	if (pkt->flags & PKT_ICMP_ERROR && (!own || !icmp_error_match(skb, pkt)))
		return 0;
	if (pkt->flags & (PKT_MULTICAST | PKT_ICMP_ERROR))
		return host_new_out(pkt, own, side);
	flow_key_near(pkt);
	flow = flow_find(pkt);
	return flow ? host_known(pkt, flow, side) : host_new_out(pkt, own, side);
}

/* The same for what goes where it goes, next, unless it is denied. */
static __always_inline int host_leaves(struct __sk_buff *skb, struct packet *pkt, int next)
{
	int r = pkt->host ? host_out(skb, pkt) : 0;

	return r ? r : next;
}

#endif
