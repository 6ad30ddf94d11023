/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a pod's packet goes when all is decided: to a pod of this node, to the host's stack, to
 * another node, to the world. pkt->to says which; bytes are changed here, last of all.
 */
#ifndef MARGAY_LIB_POD_LEAVE_H
#define MARGAY_LIB_POD_LEAVE_H

#include "lib/deliver.h"
#include "lib/encap.h"
#include "lib/mtu.h"
#include "lib/recheck.h"
#include "lib/rewrite.h"
#include "lib/route.h"
#include "lib/service.h"

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

/* The way to where the packet goes, which for one to a service is not what stands in it. */
static __always_inline int route_ahead(struct __sk_buff *skb, struct packet *pkt)
{
	bool ahead = pkt->flags & PKT_REWRITE_DST;
	int r;

	if (ahead)
		packet_ahead(pkt);
	r = route_world(skb, pkt);
	if (ahead)
		packet_ahead(pkt);
	return r;
}

/* The stack knows no services; whose source is translated it gets as it is (to_netdev). */
static __always_inline int to_stack(struct __sk_buff *skb, struct packet *pkt)
{
	int r = pkt->flags & PKT_REWRITE_DST ? rewrite(skb, pkt) : 0;

	return r ? r : MG_FINAL_STACK;
}

/* Out of an uplink; route_node() or route_world() has chosen it. */
static __always_inline int send_out(struct __sk_buff *skb, struct packet *pkt)
{
	int r = too_big(skb, pkt);

	if (r == MG_FINAL_STACK)
		return to_stack(skb, pkt);
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
		r = pkt->out_ifindex ? 0 : route_ahead(skb, pkt);
		if (r == MG_FINAL_STACK)
			return to_stack(skb, pkt);
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
	/* what is answered is answered to the sender as it sent it */
	if (pkt->ttl <= 1)
		return reply_ttl(skb, pkt);
	r = rewrite(skb, pkt);
	if (!r)
		r = deliver_target(pkt, &ep);
	return r ? r : deliver_near(skb, pkt, ep);
}

static __always_inline int leave(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if ((pkt->ep_flags & MG_EP_THROUGH_STACK) || goes_to_host(pkt)) {
		/* the stack takes none of its own addresses from a pod: to_netdev gives it */
		if (pkt->flags & PKT_REWRITE_SRC && !goes_to_host(pkt) && !goes_to_pod(pkt))
			return MG_FINAL_STACK;
		r = rewrite(skb, pkt);
		return r ? r : MG_FINAL_STACK;
	}
	if (goes_to_pod(pkt))
		return leave_near(skb, pkt);
	r = check_reachable(pkt);
	return r ? r : leave_node(skb, pkt);
}

#endif
