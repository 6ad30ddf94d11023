/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes to struct packet: Ethernet, IPv4 with options, IPv6 with a bounded walk over extension
 * headers, ports and types of what stands behind. parse_frame() knows nothing of the kernel
 * (it compiles natively for fuzzing): every read is by take(), which checks the end first.
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
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "lib/cursor.h"
#include "lib/packet.h"
#include "lib/parse_transport.h"

#define MG_EXT_MAX 6
#define MG_IP_OPTIONS_MAX 12
#define MG_PULL_BYTES 256 /* headers of the longest packet we read */

#define IP_FLAG_DF 0x4000
#define IP_FLAG_MF 0x2000
#define IP_OFFSET_MASK 0x1fff
#define IP_OPTION_END 0
#define IP_OPTION_NOP 1
#define IP_OPTION_LSRR 131
#define IP_OPTION_SSRR 137

/* The network header's length against the frame's. Padding behind it is allowed; a length of 0
 * is that of a packet too large for the field (BIG TCP, jumbograms between local devices). */
static __always_inline int check_length(struct packet *pkt, __u32 said, __u32 header)
{
	__u32 there = pkt->length - pkt->l3_offset;

	if (said == 0 && there > 0xffff) {
		pkt->l3_length = 0xffff;
		return 0;
	}
	if (said < header || said > there)
		return -MG_DROP_MALFORMED;
	pkt->l3_length = said;
	return 0;
}

/* Looks for source routes. The place lies in the scratch row: to the verifier it is any number,
 * so that one walk stands for all, where a place in a register would be followed a path a value. */
static __always_inline int parse_options(struct packet *pkt, __u8 *ip, void *end, __u32 header)
{
	volatile __u8 *at = &pkt->walk;

	*at = sizeof(struct iphdr);
	for (int i = 0; i < MG_IP_OPTIONS_MAX; i++) {
		__u32 here = *at;
		__u8 *option = ip + (here & 63);

		if (here >= header)
			return 0;
		if ((void *)(option + 1) > end)
			return -MG_DROP_SHORT;
		if (*option == IP_OPTION_LSRR || *option == IP_OPTION_SSRR)
			return -MG_DROP_IP_OPTIONS;
		if (*option == IP_OPTION_END)
			return 0;
		if (*option == IP_OPTION_NOP) {
			*at = here + 1;
			continue;
		}
		if ((void *)(option + 2) > end)
			return -MG_DROP_SHORT;
		if (option[1] < 2 || here + option[1] > header)
			return -MG_DROP_MALFORMED;
		*at = here + option[1];
	}
	return *at < header ? -MG_DROP_IP_OPTIONS : 0;
}

static __always_inline void parse_fragment4(struct packet *pkt, const struct iphdr *ip)
{
	__u32 offset = bpf_ntohs(ip->frag_off);

	if (offset & IP_FLAG_DF)
		pkt->flags |= PKT_DF;
	if (offset & (IP_FLAG_MF | IP_OFFSET_MASK)) {
		pkt->flags |= PKT_FRAGMENT;
		pkt->frag_id = ip->id;
	}
	if (offset & IP_OFFSET_MASK)
		pkt->flags |= PKT_LATER_FRAGMENT;
}

static __always_inline int parse_ip4(struct cursor *cursor, struct packet *pkt)
{
	struct iphdr *ip = take(cursor, sizeof(*ip));
	__u32 header;
	int r;

	if (!ip)
		return -MG_DROP_SHORT;
	header = ip->ihl * 4;
	if (ip->version != 4 || header < sizeof(*ip))
		return -MG_DROP_MALFORMED;
	r = check_length(pkt, bpf_ntohs(ip->tot_len), header);
	if (r)
		return r;
	pkt->family = 4;
	pkt->proto = ip->protocol;
	pkt->ttl = ip->ttl;
	pkt->tos = ip->tos;
	addr_set_v4(&pkt->src, ip->saddr);
	addr_set_v4(&pkt->dst, ip->daddr);
	parse_fragment4(pkt, ip);
	/* a second fragment that begins inside the TCP header could change its flags (RFC 3128) */
	if ((ip->frag_off & bpf_htons(IP_OFFSET_MASK)) == bpf_htons(1) && pkt->proto == IPPROTO_TCP)
		return -MG_DROP_MALFORMED;
	if (ip->daddr == 0xffffffff || (ip->daddr & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000))
		pkt->flags |= PKT_MULTICAST;
	if (header > sizeof(*ip)) {
		r = parse_options(pkt, (__u8 *)ip, cursor->end, header);
		if (r)
			return r;
		if (skip_bytes(cursor, (header - sizeof(*ip)) & 63))
			return -MG_DROP_SHORT;
	}
	return parse_transport(cursor, pkt);
}

struct ext_header {
	__u8 next;
	__u8 length; /* in units of 8 bytes, less one */
	__u8 type;   /* routing header */
	__u8 left;
	__be32 id; /* fragment header; its offset stands in the two bytes before */
};

static __always_inline void parse_fragment6(struct packet *pkt, const struct ext_header *ext)
{
	__u32 offset = ext->type << 8 | ext->left;

	if (!(offset & ~6U))
		return; /* atomic (RFC 6946) */
	pkt->flags |= PKT_FRAGMENT;
	pkt->frag_id = ext->id;
	if (offset & ~7U)
		pkt->flags |= PKT_LATER_FRAGMENT;
}

/* Walks to the transport header; pkt->proto is the first header's number on entry. */
static __always_inline int parse_extensions(struct cursor *cursor, struct packet *pkt)
{
	for (int i = 0; i <= MG_EXT_MAX; i++) {
		struct ext_header *ext;

		if (pkt->proto != IPPROTO_HOPOPTS && pkt->proto != IPPROTO_ROUTING &&
		    pkt->proto != IPPROTO_FRAGMENT && pkt->proto != IPPROTO_DSTOPTS)
			return 0;
		if ((pkt->flags & PKT_LATER_FRAGMENT) || i == MG_EXT_MAX)
			break;
		ext = take(cursor, sizeof(*ext));
		if (!ext)
			return -MG_DROP_SHORT;
		if (pkt->proto == IPPROTO_ROUTING && ext->left)
			return -MG_DROP_IP_OPTIONS; /* goes elsewhere than dst says */
		if (pkt->proto == IPPROTO_FRAGMENT)
			parse_fragment6(pkt, ext);
		else if (skip_bytes(cursor, (__u32)ext->length * 8))
			return -MG_DROP_SHORT;
		pkt->proto = ext->next;
	}
	return pkt->flags & PKT_LATER_FRAGMENT ? 0 : -MG_DROP_IP_OPTIONS;
}

static __always_inline int parse_ip6(struct cursor *cursor, struct packet *pkt)
{
	struct ipv6hdr *ip = take(cursor, sizeof(*ip));
	int r;

	if (!ip)
		return -MG_DROP_SHORT;
	if (ip->version != 6)
		return -MG_DROP_MALFORMED;
	r = check_length(pkt, ip->payload_len ? bpf_ntohs(ip->payload_len) + sizeof(*ip) : 0,
			 sizeof(*ip));
	if (r)
		return r;
	pkt->family = 6;
	pkt->proto = ip->nexthdr;
	pkt->ttl = ip->hop_limit;
	pkt->tos = bpf_ntohs(*(__be16 *)ip) >> 4;
	__builtin_memcpy(&pkt->src, &ip->saddr, 16);
	__builtin_memcpy(&pkt->dst, &ip->daddr, 16);
	pkt->flags |= PKT_DF;
	if (pkt->dst.b[0] == 0xff)
		pkt->flags |= PKT_MULTICAST;
	r = parse_extensions(cursor, pkt);
	return r ? r : parse_transport(cursor, pkt);
}

#define PKT_PARSED                                                                                 \
	(PKT_FRAGMENT | PKT_LATER_FRAGMENT | PKT_ICMP_ERROR | PKT_ICMP_QUERY | PKT_DF |            \
	 PKT_MULTICAST)

/* One frame between data and end; pkt->length is the whole packet's, which may go on behind
 * end. pkt->flags says PKT_NO_L2 for a device without Ethernet header. */
static __always_inline int parse_frame(struct packet *pkt, void *data, void *end)
{
	struct cursor cursor = { .start = data, .pos = data, .end = end };
	__be16 kind;

	pkt->flags &= ~PKT_PARSED;
	pkt->l3_offset = 0;
	if (pkt->flags & PKT_NO_L2) {
		if (data + 1 > end)
			return -MG_DROP_SHORT;
		kind = *(__u8 *)data >> 4 == 6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	} else {
		struct ethhdr *eth = take(&cursor, sizeof(*eth));

		if (!eth)
			return -MG_DROP_SHORT;
		kind = eth->h_proto;
		pkt->l3_offset = sizeof(*eth);
	}
	if (kind == bpf_htons(ETH_P_IP))
		return parse_ip4(&cursor, pkt);
	if (kind == bpf_htons(ETH_P_IPV6))
		return parse_ip6(&cursor, pkt);
	return -MG_DROP_NOT_IP;
}

/* The packet of a TC program. A first try reads what lies in the linear part, a second what
 * bpf_skb_pull_data() brought there. */
static __always_inline int parse_skb(struct __sk_buff *skb, struct packet *pkt)
{
	int r = -MG_DROP_SHORT;

	for (int i = 0; i < 2; i++) {
		r = parse_frame(pkt, (void *)(long)skb->data, (void *)(long)skb->data_end);
		if (r != -MG_DROP_SHORT || i)
			break;
		if (bpf_skb_pull_data(skb, skb->len < MG_PULL_BYTES ? skb->len : MG_PULL_BYTES))
			break;
	}
	return r;
}

#endif
