/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes to struct packet: Ethernet, IPv4 with options, IPv6 with a bounded walk over extension
 * headers, ports and types of what stands behind. Knows nothing of the kernel (it compiles
 * natively for fuzzing; programs use parse_skb.h): every read is by bytes_at() (cursor.h).
 *
 * Refused: cut-off headers (SHORT), headers that contradict themselves or the frame
 * (MALFORMED), source routing, unused or not, and more than MG_EXT_MAX extension headers
 * (IP_OPTIONS). Sources: RFC 791, 8200, 5095, 1858, 792, 4443.
 */
#ifndef MARGAY_LIB_PARSE_H
#define MARGAY_LIB_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "lib/cursor.h"
#include "lib/packet.h"
#include "lib/parse_inner.h"
#include "lib/parse_transport.h"
#include "lib/parse_walk.h"

/* what parse decides anew */
#define PKT_PARSED                                                                                 \
	(PKT_FRAGMENT | PKT_LATER_FRAGMENT | PKT_ICMP_ERROR | PKT_ICMP_QUERY | PKT_DF |            \
	 PKT_MULTICAST | PKT_WALK)

#define IP_RESERVED 0x8000
#define IP_FLAG_DF 0x4000
#define IP_FLAG_MF 0x2000
#define IP_OFFSET_MASK 0x1fff

/* The packet's length by its network header against the frame's. Padding behind it is allowed; a
 * length field of 0 is that of a packet too large for it (BIG TCP, jumbograms on the node). */
static __always_inline int check_length(struct packet *pkt, __u32 field, __u32 said, __u32 header)
{
	__u32 there = pkt->length - pkt->l3_offset;

	if (!field && there > 0xffff) {
		pkt->l3_length = 0xffff;
		return 0;
	}
	if (said < header || said > there)
		return -MG_DROP_MALFORMED;
	pkt->l3_length = said;
	return 0;
}

static __always_inline int parse_fragment4(struct packet *pkt, const struct iphdr *ip)
{
	__u32 offset = bpf_ntohs(ip->frag_off) & ~IP_RESERVED;

	if (offset == IP_FLAG_DF) {
		pkt->flags |= PKT_DF;
		return 0;
	}
	if (!offset)
		return 0;
	pkt->frag_id = ip->id;
	pkt->flags |= offset & IP_FLAG_DF ? PKT_FRAGMENT | PKT_DF : PKT_FRAGMENT;
	if (offset & IP_OFFSET_MASK)
		pkt->flags |= PKT_LATER_FRAGMENT;
	/* a second fragment that begins inside the TCP header could change its flags (RFC 3128) */
	if ((offset & IP_OFFSET_MASK) == 1 && pkt->proto == IPPROTO_TCP)
		return -MG_DROP_MALFORMED;
	return 0;
}

static __always_inline int parse_ip4(const struct frame *frame, struct packet *pkt)
{
	struct iphdr *ip = bytes_at(frame, recall(&pkt->l3_offset), sizeof(*ip));
	__u32 header;
	int r;

	if (!ip)
		return -MG_DROP_SHORT;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip))
		return -MG_DROP_MALFORMED;
	r = check_length(pkt, ip->tot_len, bpf_ntohs(ip->tot_len), header);
	if (r)
		return r;
	pkt->family = 4;
	pkt->proto = ip->protocol;
	pkt->ttl = ip->ttl;
	pkt->tos = ip->tos;
	pkt->l4_offset = pkt->l3_offset + header;
	addr_set_v4(&pkt->src, ip->saddr);
	addr_set_v4(&pkt->dst, ip->daddr);
	if (ip->daddr == 0xffffffff || (ip->daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000))
		pkt->flags |= PKT_MULTICAST;
	if (header > sizeof(*ip))
		pkt->flags |= PKT_WALK;
	return parse_fragment4(pkt, ip);
}

static __always_inline int parse_ip6(const struct frame *frame, struct packet *pkt)
{
	struct ipv6hdr *ip = bytes_at(frame, recall(&pkt->l3_offset), sizeof(*ip));
	int r;

	if (!ip)
		return -MG_DROP_SHORT;
	if (ip->version != 6)
		return -MG_DROP_MALFORMED;
	r = check_length(pkt, ip->payload_len, bpf_ntohs(ip->payload_len) + sizeof(*ip),
			 sizeof(*ip));
	if (r)
		return r;
	pkt->family = 6;
	pkt->proto = ip->nexthdr;
	pkt->ttl = ip->hop_limit;
	pkt->tos = bpf_ntohs(*(__be16 *)ip) >> 4;
	pkt->l4_offset = pkt->l3_offset + sizeof(*ip);
	__builtin_memcpy(&pkt->src, &ip->saddr, 16);
	__builtin_memcpy(&pkt->dst, &ip->daddr, 16);
	pkt->flags |= PKT_DF;
	if (pkt->dst.b[0] == 0xff)
		pkt->flags |= PKT_MULTICAST;
	if (is_extension(pkt->proto))
		pkt->flags |= PKT_WALK;
	return 0;
}

/* The EtherType, by the first nibble where the device has no Ethernet header; 0: too short. Of a
 * packet in a tunnel decap.h has found out family and place. */
static __always_inline __be16 parse_link(const struct frame *frame, struct packet *pkt)
{
	struct ethhdr *eth;

	if (pkt->outer_length)
		return pkt->family == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	pkt->l3_offset = 0;
	if (pkt->flags & PKT_NO_L2) {
		__u8 *first = bytes_at(frame, 0, 1);

		if (!first)
			return 0;
		return *first >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	}
	eth = bytes_at(frame, 0, sizeof(*eth));
	pkt->l3_offset = sizeof(*eth);
	return eth ? eth->h_proto : 0;
}

/* The fixed headers. */
static __always_inline int parse_fixed(const struct frame *frame, struct packet *pkt)
{
	__be16 kind;

	pkt->flags &= ~PKT_PARSED;
	kind = parse_link(frame, pkt);
	if (!kind)
		return -MG_DROP_SHORT;
	if (kind == bpf_htons(ETH_P_IP))
		return parse_ip4(frame, pkt);
	if (kind == bpf_htons(ETH_P_IPV6))
		return parse_ip6(frame, pkt);
	return -MG_DROP_NOT_IP;
}

/* One frame between data and end, for native callers; pkt->length is the whole packet's, which
 * may go on behind end. pkt->flags says PKT_NO_L2 for a device without Ethernet header. */
static __always_inline int parse_frame(struct packet *pkt, void *data, void *end)
{
	struct frame frame = { .data = data, .end = end };
	int r = parse_fixed(&frame, pkt);

	if (!r && (pkt->flags & PKT_WALK))
		r = parse_walk(&frame, pkt);
	if (!r)
		r = parse_transport(&frame, pkt);
	if (!r && (pkt->flags & PKT_ICMP_ERROR))
		r = parse_inner(&frame, pkt);
	return r;
}

#endif
