/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Takes a packet out of IP-in-IP or VXLAN. Only from the address of a node of ours, only in a
 * kind of tunnel that is in use here, and only what can live behind that node: everything else
 * of such a kind is dropped, while kinds that are not in use pass to the stack like any protocol.
 *
 * IPv6 in IPv4 and the reverse: bpf_skb_change_proto() first, which tells the kernel the inner
 * family and moves 20 bytes, then the rest is cut away (docs/encapsulation.md).
 */
#ifndef MARGAY_LIB_DECAP_H
#define MARGAY_LIB_DECAP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr.h"
#include "lib/config.h"
#include "lib/ecn.h"
#include "lib/encap.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/parse_skb.h"
#include "lib/trace.h"

#define DECAP_L3_IPV4 (1ULL << 7) /* BPF_F_ADJ_ROOM_DECAP_L3_IPV4, kernel 6.3 */
#define DECAP_L3_IPV6 (1ULL << 8)

/* 4, 41 or 17: the packet is of a kind of tunnel that is in use, and for this node. */
static __always_inline __u32 tunnel_kind(const struct mg_local *local, const struct packet *pkt)
{
	if (!addr_equal(&pkt->dst, pkt->family == 4 ? &local->ip4 : &local->ip6))
		return 0;
	if (pkt->proto == IPPROTO_IPIP || pkt->proto == IPPROTO_IPV6)
		return local->flags & MG_LOCAL_IPIP ? pkt->proto : 0;
	if (pkt->proto == IPPROTO_UDP && local->flags & MG_LOCAL_VXLAN &&
	    pkt->dport == local->vxlan_port)
		return IPPROTO_UDP;
	return 0;
}

/* The VXLAN header and the inner frame's type; ret_family 4 or 6. */
static __always_inline int vxlan_check(struct __sk_buff *skb, const struct packet *pkt,
				       const struct mg_local *local, __u32 *ret_family)
{
	struct vxlan_start start;

	if (bpf_skb_load_bytes(skb, pkt->l4_offset, &start, sizeof(start)))
		return -MG_DROP_SHORT;
	if (!(start.vxlan.flags & bpf_htonl(VXLAN_FLAG_VNI)) ||
	    bpf_ntohl(start.vxlan.vni) >> 8 != local->vni)
		return -MG_DROP_FOREIGN_TUNNEL;
	if (start.eth.h_proto == bpf_htons(ETH_P_IP))
		*ret_family = 4;
	else if (start.eth.h_proto == bpf_htons(ETH_P_IPV6))
		*ret_family = 6;
	else
		return -MG_DROP_NOT_IP;
	return 0;
}

/* UDP GSO: the kernel's own device opens it, since no program can clear the tunnel's bits
 * (docs/decisions/udp-gso-out-of-vxlan.md). */
static __always_inline bool wants_device(struct __sk_buff *skb, const struct packet *pkt,
					 const struct mg_local *local, __u32 family)
{
	__u32 at = pkt->l4_offset + sizeof(struct vxlan_start) + (family == 4 ? 9 : 6);
	__u8 proto;

	if (!skb->gso_size || !local->vxlan_ifindex ||
	    bpf_skb_load_bytes(skb, at, &proto, sizeof(proto)))
		return false;
	return proto == IPPROTO_UDP;
}

/* Cuts the outer headers behind the link header; the packet becomes one of the inner family. */
static __always_inline int decap_cut(struct __sk_buff *skb, const struct packet *pkt)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	__s32 cut = pkt->outer_length;
	__u32 family = pkt->family;

	if (family != pkt->outer_family) {
		__u32 grows = sizeof(struct ipv6hdr) - sizeof(struct iphdr);

		if (!bpf_skb_change_proto(skb, bpf_htons(family == 6 ? ETH_P_IPV6 : ETH_P_IP), 0))
			cut += family == 6 ? grows : -grows;
		else /* UDP GSO, which it refuses; where the flags are unknown this fails too */
			flags |= family == 6 ? DECAP_L3_IPV6 : DECAP_L3_IPV4;
	}
	if (bpf_skb_adjust_room(skb, -cut, BPF_ADJ_ROOM_MAC, flags))
		return -MG_DROP_ENCAP_FAILED;
	if (family != pkt->outer_family && !(pkt->flags & PKT_NO_L2)) {
		__be16 type = bpf_htons(family == 6 ? ETH_P_IPV6 : ETH_P_IP);

		if (bpf_skb_store_bytes(skb, ETH_HLEN - sizeof(type), &type, sizeof(type), 0))
			return -MG_DROP_ENCAP_FAILED;
	}
	return 0;
}

/* Step before a packet is handed to anybody: the tunnel's headers go, if there are any. */
__weak __noinline int decap_finish(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (!pkt->outer_length)
		return 0;
	r = decap_cut(skb, pkt);
	if (r)
		return r;
	pkt->l3_offset -= pkt->outer_length;
	if (pkt->l4_offset)
		pkt->l4_offset -= pkt->outer_length;
	pkt->length -= pkt->outer_length;
	pkt->outer_length = 0;
	return 0;
}

static __always_inline __u32 outer_node_find(const struct mg_local *local, const struct packet *pkt)
{
	struct mg_ident ident;

	ident_exact(&pkt->src, &ident);
	if (!(ident.flags & MG_ADDR_HOST) || ident.flags & MG_ADDR_LOCAL ||
	    ident.node == local->node)
		return 0;
	return ident.node;
}

/* The node whose address the outer packet came from; 0: none of ours. Looked up once a tick for
 * packets of one node in a row (uplink_flags() says when it is too old). */
static __always_inline __u32 outer_node(const struct mg_local *local, struct packet *pkt)
{
	if (pkt->far_node && addr_equal(&pkt->far_addr, &pkt->src))
		return pkt->far_node;
	pkt->far_node = outer_node_find(local, pkt);
	pkt->far_addr = pkt->src;
	return pkt->far_node;
}

/* Verified once, whoever calls it. */
__weak __noinline int decap_open(struct __sk_buff *skb, struct packet *pkt, __u32 kind)
{
	const struct mg_local *local = local_row();
	__u32 outer, family = kind == IPPROTO_IPV6 ? 6 : 4;
	__u8 tos;
	int r;

	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	outer = pkt->l4_offset - pkt->l3_offset;
	tos = pkt->tos;
	if (kind == IPPROTO_UDP) {
		r = vxlan_check(skb, pkt, local, &family);
		if (r)
			return r;
		if (wants_device(skb, pkt, local, family)) {
			skb->mark |= mg_config.mark;
			return MG_FINAL_STACK;
		}
		outer += sizeof(struct vxlan_start);
	}
	if (family == 6 && local->flags & MG_LOCAL_NO_IPV6)
		return -MG_DROP_IPV6_OFF;
	pkt->outer_length = outer;
	pkt->outer_family = pkt->family;
	pkt->outer_kind = kind;
	pkt->l3_offset += outer;
	pkt->family = family;
	r = parse_skb(skb, pkt);
	return r ? r : ecn_decap(skb, pkt, tos);
}

/*
 * Step: 0 where the packet is of no tunnel, or was opened: then PKT_FROM_TUNNEL is set, in_node
 * says whose it was, and everything that parse fills is of the inner packet. An outer packet in
 * fragments is refused: our own have DF set.
 */
static __always_inline int decap(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	__u32 kind;
	int r;

	if (!local)
		return -MG_DROP_INTERNAL;
	kind = tunnel_kind(local, pkt);
	if (!kind)
		return 0;
	pkt->in_node = outer_node(local, pkt);
	if (!pkt->in_node)
		return -MG_DROP_FOREIGN_TUNNEL;
	if (pkt->flags & PKT_FRAGMENT)
		return -MG_DROP_FRAG_ORDER;
	r = decap_open(skb, pkt, kind);
	if (r)
		return r;
	pkt->flags |= PKT_FROM_TUNNEL;
	trace_step(MG_STEP_DECAP, kind, pkt->in_node, 0);
	return 0;
}

/* Step of from_tunnel: a packet that the idle device opened; in_node by the tunnel's key. Verified
 * once, for the sake of its stack. */
__weak __noinline int decap_by_device(struct __sk_buff *skb, struct packet *pkt)
{
	struct bpf_tunnel_key key = {};
	union mg_addr far;
	struct mg_ident ident;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
			return -MG_DROP_FOREIGN_TUNNEL;
		addr_set_v4(&far, bpf_htonl(key.remote_ipv4));
	} else {
		__builtin_memcpy(&far, key.remote_ipv6, sizeof(far));
	}
	ident_exact(&far, &ident);
	pkt->in_node = ident.node;
	pkt->outer_kind = IPPROTO_UDP;
	pkt->flags |= PKT_FROM_TUNNEL;
	return ident.flags & MG_ADDR_HOST && ident.node ? 0 : -MG_DROP_FOREIGN_TUNNEL;
}

/* What lives behind the node it came from: its pods, its blocks, its own addresses. */
static __always_inline int decap_source(const struct packet *pkt, const struct mg_ident *from)
{
	return from->node == pkt->in_node && !(from->flags & MG_ADDR_LOCAL) ? 0
									    : -MG_DROP_TUNNEL_SPOOF;
}

#endif
