/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From one node's tunnel into another's: a node passes on what comes for an address of its own
 * block that a pod of another node has borrowed, until the sender's node knows better. The
 * receiver takes such a packet from the block's node, whoever of our nodes' pods sent it.
 *
 * The packet stays in its tunnel: kind and family of the outer header are kept, ends and hop limit
 * written anew in place. (The kernel refuses to encapsulate what it still takes for
 * encapsulated, and every node opens every kind that is in use.) Nothing is judged here: neither
 * end is ours.
 */
#ifndef MARGAY_LIB_RELAY_H
#define MARGAY_LIB_RELAY_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stddef.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr.h"
#include "lib/decap.h"
#include "lib/encap.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/pmtu.h"
#include "lib/rewrite.h"
#include "lib/route.h"

/* Is this address of a block of that node, whatever pod has it? */
static __always_inline bool relay_block_of(const union mg_addr *addr, __u32 node)
{
	struct mg_ident net = {};

	ident_net(addr, &net);
	return net.flags & MG_ADDR_BLOCK && net.node == node;
}

/* Came a pod's packet by the node of whose block the receiver's address is borrowed? from: what is
 * known of its source, which does not live behind in_node. */
static __always_inline bool relay_trusted(const struct packet *pkt, const struct mg_ident *from)
{
	if (!from->node || from->flags & (MG_ADDR_LOCAL | MG_ADDR_HOST))
		return false;
	return relay_block_of(&pkt->dst, pkt->in_node);
}

/* The way to out_node in the outer family that the packet has. */
static __always_inline int relay_route(struct packet *pkt, const struct mg_peer *peer,
				       const struct mg_local *local)
{
	bool outer6 = pkt->outer_family == 6;

	if (outer6 ? !way_open(&peer->way6, &peer->ip6, &local->ip6)
		   : !way_open(&peer->way4, &peer->ip4, &local->ip4))
		return -MG_DROP_NO_NODE;
	if (outer6)
		route_by(pkt, &peer->way6, &peer->ip6);
	else
		route_by(pkt, &peer->way4, &peer->ip4);
	pkt->encap = pkt->outer_kind == IPPROTO_UDP ? MG_ENCAP_VXLAN : MG_ENCAP_IPIP;
	pkt->out_mtu = pmtu_of(pkt->out_node, outer6, pkt->tick, pkt->out_mtu) -
		       encap_overhead(pkt->encap, outer6);
	trace_step(MG_STEP_FORWARD, pkt->out_ifindex, pkt->out_node, 0);
	return 0;
}

/* The inner Ethernet header of VXLAN: from us to the peer. */
static __always_inline int relay_link(struct __sk_buff *skb, struct packet *pkt,
				      const struct mg_peer *peer, const struct mg_local *local)
{
	__u8 *macs = pkt->bytes;

	__builtin_memcpy(macs, pkt->outer_family == 6 ? peer->vtep_mac6 : peer->vtep_mac, ETH_ALEN);
	__builtin_memcpy(macs + ETH_ALEN, local->vtep_mac, ETH_ALEN);
	return bpf_skb_store_bytes(skb, pkt->l3_offset - ETH_HLEN, macs, 2 * ETH_ALEN,
				   BPF_F_RECOMPUTE_CSUM)
		       ? -MG_DROP_CSUM
		       : 0;
}

/* packet describes the outer header for as long as rewrite.h works on it. There is no checksum
 * but IPv4's own. */
static __always_inline void relay_outside(struct packet *pkt)
{
	pkt->l4_offset = 0;
	pkt->l3_offset -= pkt->outer_length;
	pkt->family = pkt->outer_family;
}

/* One end of the outer header. */
static __always_inline int relay_end(struct __sk_buff *skb, struct packet *pkt, bool source,
				     const union mg_addr *to)
{
	union mg_addr *from = source ? &pkt->src : &pkt->dst;
	__u32 at;

	pkt->xlat = *to;
	if (pkt->family == 4) {
		at = source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
		if (bpf_skb_load_bytes(skb, pkt->l3_offset + at, &from->w[3], sizeof(__be32)))
			return -MG_DROP_SHORT;
		return rewrite_addr4(skb, pkt, at, from->w[3], pkt->xlat.w[3]);
	}
	at = source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
	if (bpf_skb_load_bytes(skb, pkt->l3_offset + at, from, sizeof(*from)))
		return -MG_DROP_SHORT;
	return rewrite_addr6(skb, pkt, at, from, &pkt->xlat);
}

static __always_inline int relay_outer(struct __sk_buff *skb, struct packet *pkt,
				       const struct mg_peer *peer, const struct mg_local *local)
{
	bool outer6 = pkt->outer_family == 6;
	int r;

	relay_outside(pkt);
	r = relay_end(skb, pkt, true, outer6 ? &local->ip6 : &local->ip4);
	if (!r)
		r = relay_end(skb, pkt, false, outer6 ? &peer->ip6 : &peer->ip4);
	if (r)
		return r;
	if (bpf_skb_load_bytes(skb,
			       pkt->l3_offset + (outer6 ? offsetof(struct ipv6hdr, hop_limit)
							: offsetof(struct iphdr, ttl)),
			       &pkt->ttl, sizeof(pkt->ttl)))
		return -MG_DROP_SHORT;
	return ttl_store(skb, pkt, ENCAP_TTL);
}

/* What a router does with the packet inside, whose way is known: it fits, or is dropped, and has
 * one hop less. Leaves a link header in front. */
static __always_inline int relay_inner(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (segment_length(skb, pkt) > pkt->out_mtu)
		return -MG_DROP_TOO_BIG;
	r = add_link(skb, pkt);
	return r ? r : ttl_decrement(skb, pkt);
}

/* Still in its tunnel: see above. */
static __always_inline int relay_in_place(struct __sk_buff *skb, struct packet *pkt,
					  const struct mg_local *local)
{
	const struct mg_peer *peer = peer_row(pkt->out_node);
	int r;

	if (!peer)
		return -MG_DROP_NO_NODE;
	r = relay_route(pkt, peer, local);
	if (!r)
		r = relay_inner(skb, pkt);
	if (!r && pkt->encap == MG_ENCAP_VXLAN)
		r = relay_link(skb, pkt, peer, local);
	if (!r)
		r = relay_outer(skb, pkt, peer, local);
	trace_step(MG_STEP_ENCAP, pkt->outer_kind, pkt->out_node, pkt->out_ifindex);
	return r ? r : MG_FINAL_NEIGH;
}

/* Does VXLAN's outer UDP header have a checksum (ours have none)? It covers more than is changed in
 * place here. */
static __always_inline bool relay_summed(struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 at = pkt->l3_offset - sizeof(struct vxlan_start) + offsetof(struct udphdr, check);
	__be16 check = 0;

	if (pkt->outer_kind != IPPROTO_UDP)
		return false;
	return bpf_skb_load_bytes(skb, at, &check, sizeof(check)) || check;
}

/* Taken out, here or by the idle device, and in again by the pool's mode. */
static __always_inline int relay_anew(struct __sk_buff *skb, struct packet *pkt)
{
	int r = route_node(pkt);

	if (!r)
		r = relay_inner(skb, pkt);
	return r ? r : encap(skb, pkt);
}

/* Step for a packet from a tunnel that is for no address of this node; pkt->to is complete. */
__weak __noinline int relay(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	if (!(pkt->to.flags & MG_ADDR_POD) || !pkt->to.node || pkt->to.node == pkt->in_node ||
	    !relay_block_of(&pkt->dst, local->node))
		return -MG_DROP_NO_ROUTE;
	pkt->out_node = pkt->to.node;
	if (pkt->outer_length && !relay_summed(skb, pkt))
		return relay_in_place(skb, pkt, local);
	r = decap_finish(skb, pkt);
	return r ? r : relay_anew(skb, pkt);
}

#endif
