/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a packet leaves this node. To another node of ours: by that node's row, in a tunnel or
 * not by the mode of the destination's pool. To the world: by the kernel's routes.
 *
 * Both set out_ifindex, out_mtu (of the packet before encapsulation; 0: checked already) and
 * next_hop, and leave the bytes alone; the way to the world sets the flow's exit, side[PKT_IN],
 * too.
 */
#ifndef MARGAY_LIB_ROUTE_H
#define MARGAY_LIB_ROUTE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/addr_ops.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/pmtu.h"
#include "lib/trace.h"

#define ROUTE_AF_INET 2
#define ROUTE_AF_INET6 10

#define OVERHEAD_IPIP4 20
#define OVERHEAD_IPIP6 40
#define OVERHEAD_VXLAN4 50 /* IPv4, UDP, VXLAN, Ethernet */
#define OVERHEAD_VXLAN6 70

static __always_inline __u32 encap_overhead(__u32 kind, bool outer6)
{
	if (kind == MG_ENCAP_IPIP)
		return outer6 ? OVERHEAD_IPIP6 : OVERHEAD_IPIP4;
	if (kind == MG_ENCAP_VXLAN)
		return outer6 ? OVERHEAD_VXLAN6 : OVERHEAD_VXLAN4;
	return 0;
}

/* ipipMode and vxlanMode of the pool: Always, CrossSubnet or Never. */
static __always_inline __u32 encap_kind(__u32 pool, bool same_subnet)
{
	if (pool & MG_ADDR_CROSS && same_subnet)
		return MG_ENCAP_NONE;
	if (pool & MG_ADDR_IPIP)
		return MG_ENCAP_IPIP;
	return pool & MG_ADDR_VXLAN ? MG_ENCAP_VXLAN : MG_ENCAP_NONE;
}

static __always_inline bool way_open(const struct mg_way *way, const union mg_addr *theirs,
				     const union mg_addr *ours)
{
	return way->ifindex && !addr_is_zero(theirs) && !addr_is_zero(ours);
}

/* The outer family: the inner one where both nodes have it (as Calico does), else the other. */
static __always_inline bool outer_is_6(const struct mg_local *local, const struct mg_peer *peer,
				       __u32 inner)
{
	if (inner == 4)
		return !way_open(&peer->way4, &peer->ip4, &local->ip4);
	return way_open(&peer->way6, &peer->ip6, &local->ip6);
}

static __always_inline void route_by(struct packet *pkt, const struct mg_way *way,
				     const union mg_addr *address)
{
	pkt->out_ifindex = way->ifindex;
	pkt->out_mtu = way->mtu;
	pkt->next_hop = addr_is_zero(&way->gateway) ? *address : way->gateway;
}

/* Step: the way to node out_node. Needs to.flags (of the destination's pool), decides encap. */
static __always_inline int route_node(struct packet *pkt)
{
	const struct mg_peer *peer = peer_row(pkt->out_node);
	const struct mg_local *local = local_row();
	bool outer6;

	if (!local)
		return -MG_DROP_INTERNAL;
	if (!peer)
		return -MG_DROP_NO_NODE;
	pkt->encap = encap_kind(pkt->to.flags, peer->flags & (pkt->family == 4 ? MG_PEER_SUBNET4
									       : MG_PEER_SUBNET6));
	outer6 = pkt->encap ? outer_is_6(local, peer, pkt->family) : pkt->family == 6;
	if (outer6) {
		pkt->flags |= PKT_OUTER6;
		route_by(pkt, &peer->way6, &peer->ip6);
	} else {
		pkt->flags &= ~PKT_OUTER6;
		route_by(pkt, &peer->way4, &peer->ip4);
	}
	if (!pkt->out_ifindex || addr_is_zero(&pkt->next_hop))
		return -MG_DROP_NO_NODE;
	if (pkt->encap)
		pkt->out_mtu = pmtu_of(pkt->out_node, outer6, pkt->tick, pkt->out_mtu) -
			       encap_overhead(pkt->encap, outer6);
	trace_step(MG_STEP_FORWARD, pkt->out_ifindex, pkt->out_node, 0);
	return 0;
}

static __always_inline void fib_ask(struct bpf_fib_lookup *fib, const struct packet *pkt)
{
	fib->l4_protocol = pkt->proto;
	fib->sport = pkt->sport;
	fib->dport = pkt->dport;
	fib->ifindex = pkt->ifindex;
	if (pkt->family == 4) {
		fib->family = ROUTE_AF_INET;
		fib->tos = pkt->tos & 0x1c; /* what routing rules may look at */
		fib->ipv4_src = pkt->src.w[3];
		fib->ipv4_dst = pkt->dst.w[3];
	} else {
		fib->family = ROUTE_AF_INET6;
		__builtin_memcpy(fib->ipv6_src, &pkt->src, sizeof(pkt->src));
		__builtin_memcpy(fib->ipv6_dst, &pkt->dst, sizeof(pkt->dst));
	}
}

static __always_inline void fib_answer(const struct bpf_fib_lookup *fib, struct packet *pkt)
{
	if (fib->family == ROUTE_AF_INET)
		addr_set_v4(&pkt->next_hop, fib->ipv4_dst);
	else
		__builtin_memcpy(&pkt->next_hop, fib->ipv6_dst, sizeof(pkt->next_hop));
}

/*
 * Step: the way to an address outside, and whether the packet fits the route. Without
 * BPF_FIB_LOOKUP_SKIP_NEIGH (6.3): an unresolved neighbour is an answer too, ifindex and gateway
 * stand in it. What the kernel would not forward (its own addresses, no route) and what leaves by
 * an interface that is none of ours goes to the stack, which knows its filters and answers.
 */
static __always_inline int route_world(struct __sk_buff *skb, struct packet *pkt)
{
	struct bpf_fib_lookup fib = {};
	long r;

	fib_ask(&fib, pkt);
	fib.tot_len = segment_length(skb, pkt);
	r = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	pkt->encap = MG_ENCAP_NONE;
	pkt->out_node = 0;
	pkt->out_mtu = 0;
	if (r == BPF_FIB_LKUP_RET_BLACKHOLE)
		return -MG_DROP_BLACKHOLE;
	if (r == BPF_FIB_LKUP_RET_NOT_FWDED)
		pkt->side[PKT_IN] = MG_SIDE_OWN;
	if (r == BPF_FIB_LKUP_RET_NOT_FWDED || r == BPF_FIB_LKUP_RET_UNSUPP_LWT)
		return MG_FINAL_STACK;
	if (r == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		pkt->out_mtu = fib.mtu_result;
		return 0;
	}
	if (r != BPF_FIB_LKUP_RET_SUCCESS && r != BPF_FIB_LKUP_RET_NO_NEIGH)
		return -MG_DROP_NO_ROUTE;
	if (!uplink_row(fib.ifindex))
		return MG_FINAL_STACK;
	pkt->out_ifindex = fib.ifindex;
	pkt->side[PKT_IN] = fib.ifindex;
	fib_answer(&fib, pkt);
	trace_step(MG_STEP_FORWARD, pkt->out_ifindex, 0, 0);
	return 0;
}

#endif
