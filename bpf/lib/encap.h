/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Puts a packet into IP-in-IP (RFC 2003, 4213, 2473) or VXLAN (RFC 7348) towards the node that
 * route_node() chose. docs/encapsulation.md says why each field is what it is.
 *
 * FIXED_GSO always: the segments of a TSO packet keep their size, and pods' MTU is small enough
 * for the outer header. UDP GSO is refused by the kernel without it, SCTP GSO with it too.
 */
#ifndef MARGAY_LIB_ENCAP_H
#define MARGAY_LIB_ENCAP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/hash.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/route.h"
#include "lib/trace.h"

#define ENCAP_TTL 64
#define ENCAP_SPORT_FIRST 49152 /* RFC 7348: the dynamic range, where mg_local names none */
#define ENCAP_SPORT_COUNT 16384
#define VXLAN_FLAG_VNI 0x08000000
#define IP_DF 0x4000

struct vxlan_hdr {
	__be32 flags;
	__be32 vni; /* upper 24 bits */
};

/* What follows the outer IP header of VXLAN, without padding between. */
struct vxlan_start {
	struct udphdr udp;
	struct vxlan_hdr vxlan;
	struct ethhdr eth;
} __attribute__((packed));

_Static_assert(sizeof(struct vxlan_start) == 30, "vxlan_start");

/* The outer headers are built in packet.bytes: an IPv4 header ends where an IPv6 one would. */
#define ENCAP_IP_END 40

static __always_inline void encap_ip4(struct packet *pkt, const struct mg_peer *peer,
				      const struct mg_local *local, __u32 length)
{
	struct iphdr *ip = (void *)(pkt->bytes + ENCAP_IP_END - sizeof(*ip));
	__u16 *half = (void *)ip;
	__u64 sum = 0;

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = pkt->tos;
	/* a GSO packet may be longer than the field: the kernel writes each segment's length */
	ip->tot_len = length > 0xffff ? 0 : bpf_htons(length);
	ip->id = 0; /* with DF set it has no meaning (RFC 6864), and GRO likes it constant */
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = ENCAP_TTL;
	ip->protocol = pkt->encap == MG_ENCAP_VXLAN ? IPPROTO_UDP
		       : pkt->family == 4	    ? IPPROTO_IPIP
						    : IPPROTO_IPV6;
	ip->check = 0;
	ip->saddr = local->ip4.w[3];
	ip->daddr = peer->ip4.w[3];
	for (int i = 0; i < 10; i++)
		sum += half[i];
	ip->check = csum_fold(sum);
}

static __always_inline void encap_ip6(struct packet *pkt, const struct mg_peer *peer,
				      const struct mg_local *local, __u32 length)
{
	struct ipv6hdr *ip = (void *)(pkt->bytes + ENCAP_IP_END - sizeof(*ip));
	/* the flow label spreads tunnels over equal paths (RFC 6438) */
	__u32 word = 6U << 28 | (__u32)pkt->tos << 20 | (flow_hash(pkt) & 0xfffff);

	*(__be32 *)ip = bpf_htonl(word);
	length -= sizeof(*ip);
	ip->payload_len = length > 0xffff ? 0 : bpf_htons(length);
	ip->nexthdr = pkt->encap == MG_ENCAP_VXLAN ? IPPROTO_UDP
		      : pkt->family == 4	   ? IPPROTO_IPIP
						   : IPPROTO_IPV6;
	ip->hop_limit = ENCAP_TTL;
	__builtin_memcpy(&ip->saddr, &local->ip6, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &peer->ip6, sizeof(ip->daddr));
}

static __always_inline __be16 encap_sport(const struct packet *pkt, const struct mg_local *local)
{
	__u32 first = local->sport_first, count = local->sport_count;

	if (!count) {
		first = ENCAP_SPORT_FIRST;
		count = ENCAP_SPORT_COUNT;
	}
	return bpf_htons(first + flow_hash(pkt) % count);
}

static __always_inline void encap_vxlan(struct packet *pkt, const struct mg_peer *peer,
					const struct mg_local *local, __u32 length)
{
	struct vxlan_start *start = (void *)(pkt->bytes + ENCAP_IP_END);

	start->udp.source = encap_sport(pkt, local);
	start->udp.dest = local->vxlan_port;
	start->udp.len = length > 0xffff ? 0 : bpf_htons(length);
	start->udp.check = 0; /* the inner packet has its own (RFC 7348, 6935) */
	start->vxlan.flags = bpf_htonl(VXLAN_FLAG_VNI);
	start->vxlan.vni = bpf_htonl(local->vni << 8);
	__builtin_memcpy(start->eth.h_dest,
			 pkt->flags & PKT_OUTER6 ? peer->vtep_mac6 : peer->vtep_mac, ETH_ALEN);
	__builtin_memcpy(start->eth.h_source, local->vtep_mac, ETH_ALEN);
	start->eth.h_proto = bpf_htons(pkt->family == 4 ? ETH_P_IP : ETH_P_IPV6);
}

static __always_inline __u64 encap_flags(bool outer6, bool vxlan)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

	flags |= outer6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	if (vxlan)
		flags |= BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
			 BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
	return flags;
}

/* Room for the outer headers, and their bytes from packet.bytes into it. */
static __always_inline int encap_write(struct __sk_buff *skb, struct packet *pkt, __u32 ip_bytes,
				       __u32 start_bytes)
{
	__u32 room = ip_bytes + start_bytes;
	__be16 type = bpf_htons(ip_bytes == sizeof(struct ipv6hdr) ? ETH_P_IPV6 : ETH_P_IP);
	bool same = pkt->family == (ip_bytes == sizeof(struct ipv6hdr) ? 6 : 4);

	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC,
				encap_flags(ip_bytes == sizeof(struct ipv6hdr), start_bytes)))
		return -MG_DROP_ENCAP_FAILED;
	if (bpf_skb_store_bytes(skb, pkt->l3_offset, pkt->bytes + ENCAP_IP_END - ip_bytes, room, 0))
		return -MG_DROP_ENCAP_FAILED;
	if (!same && pkt->l3_offset == ETH_HLEN &&
	    bpf_skb_store_bytes(skb, ETH_HLEN - sizeof(type), &type, sizeof(type), 0))
		return -MG_DROP_ENCAP_FAILED;
	return MG_FINAL_NEIGH;
}

/* Verified once, whoever calls it. */
__weak __noinline int encap_make(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	const struct mg_peer *peer;
	bool vxlan, outer6;
	__u32 length;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	peer = peer_row(pkt->out_node);
	if (!local || !peer)
		return -MG_DROP_NO_NODE;
	length = skb->len - pkt->l3_offset;
	vxlan = pkt->encap == MG_ENCAP_VXLAN;
	outer6 = pkt->flags & PKT_OUTER6;
	trace_step(MG_STEP_ENCAP,
		   vxlan	      ? IPPROTO_UDP
		   : pkt->family == 4 ? 4
				      : 41,
		   pkt->out_node, pkt->out_ifindex);
	if (vxlan)
		encap_vxlan(pkt, peer, local,
			    length + sizeof(struct udphdr) + sizeof(struct vxlan_hdr) + ETH_HLEN);
	length += encap_overhead(pkt->encap, outer6);
	if (outer6) {
		encap_ip6(pkt, peer, local, length);
		return encap_write(skb, pkt, sizeof(struct ipv6hdr),
				   vxlan ? sizeof(struct vxlan_start) : 0);
	}
	encap_ip4(pkt, peer, local, length);
	return encap_write(skb, pkt, sizeof(struct iphdr), vxlan ? sizeof(struct vxlan_start) : 0);
}

/* A frame from a device without Ethernet header becomes one that others, and
 * bpf_redirect_neigh(), can take. */
static __always_inline int add_link(struct __sk_buff *skb, struct packet *pkt)
{
	__u8 family = pkt->outer_length ? pkt->outer_family : pkt->family;
	__be16 type = bpf_htons(family == 4 ? ETH_P_IP : ETH_P_IPV6);

	if (!(pkt->flags & PKT_NO_L2))
		return 0;
	if (bpf_skb_change_head(skb, ETH_HLEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN - sizeof(type), &type, sizeof(type), 0))
		return -MG_DROP_ENCAP_FAILED;
	pkt->flags &= ~PKT_NO_L2;
	pkt->l3_offset += ETH_HLEN;
	if (pkt->l4_offset)
		pkt->l4_offset += ETH_HLEN;
	return 0;
}

/* Step: after route_node(); makes the outer packet where there is one to make. */
static __always_inline int encap(struct __sk_buff *skb, struct packet *pkt)
{
	return pkt->encap == MG_ENCAP_NONE ? MG_FINAL_NEIGH : encap_make(skb, pkt);
}

#endif
