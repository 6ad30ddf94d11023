/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet an ICMP error speaks of: addresses and the first eight bytes of its transport
 * header, as they stood on the wire. A later fragment, or IPv6 behind extension headers other
 * than one fragment header, has no ports here and so matches no flow.
 */
#ifndef MARGAY_LIB_PARSE_INNER_H
#define MARGAY_LIB_PARSE_INNER_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "lib/cursor.h"
#include "lib/icmp_types.h"
#include "lib/packet.h"

static __always_inline int parse_inner_transport(const struct frame *frame, struct packet *pkt,
						 __u32 offset)
{
	union {
		__be16 port[4];
		struct icmp_start icmp;
	} *l4 = bytes_at(frame, forget(&pkt->walk, offset), 8);

	if (!l4)
		return -MG_DROP_SHORT;
	if (pkt->inner_proto == IPPROTO_TCP || pkt->inner_proto == IPPROTO_UDP ||
	    pkt->inner_proto == IPPROTO_SCTP) {
		pkt->inner_sport = l4->port[0];
		pkt->inner_dport = l4->port[1];
	} else if (pkt->inner_proto == IPPROTO_ICMP || pkt->inner_proto == IPPROTO_ICMPV6) {
		if (!icmp_is_query(pkt->family, l4->icmp.type))
			return -MG_DROP_ICMP_UNRELATED; /* no error about an error */
		pkt->inner_sport = l4->icmp.id;
		pkt->inner_dport = l4->icmp.id;
	}
	return 0;
}

static __always_inline int parse_inner4(const struct frame *frame, struct packet *pkt, __u32 offset)
{
	struct iphdr *ip = bytes_at(frame, offset, sizeof(*ip));

	if (!ip)
		return -MG_DROP_SHORT;
	if (ip->version != 4 || ip->ihl < 5)
		return -MG_DROP_MALFORMED;
	addr_set_v4(&pkt->inner_src, ip->saddr);
	addr_set_v4(&pkt->inner_dst, ip->daddr);
	pkt->inner_proto = ip->protocol;
	if (ip->frag_off & bpf_htons(0x1fff))
		return 0;
	return parse_inner_transport(frame, pkt, offset + ip->ihl * 4);
}

static __always_inline int parse_inner6(const struct frame *frame, struct packet *pkt, __u32 offset)
{
	struct ipv6hdr *ip = bytes_at(frame, offset, sizeof(*ip));
	__u32 transport = offset + sizeof(*ip);

	if (!ip)
		return -MG_DROP_SHORT;
	if (ip->version != 6)
		return -MG_DROP_MALFORMED;
	__builtin_memcpy(&pkt->inner_src, &ip->saddr, 16);
	__builtin_memcpy(&pkt->inner_dst, &ip->daddr, 16);
	pkt->inner_proto = ip->nexthdr;
	if (pkt->inner_proto == IPPROTO_FRAGMENT) {
		__u8 *fragment = bytes_at(frame, transport, 8);

		if (!fragment)
			return -MG_DROP_SHORT;
		pkt->inner_proto = fragment[0];
		if (fragment[2] | (fragment[3] & 0xf8))
			return 0;
		transport += 8;
	}
	return parse_inner_transport(frame, pkt, transport);
}

static __always_inline int parse_inner(const struct frame *frame, struct packet *pkt)
{
	__u32 offset = recall(&pkt->l4_offset) + sizeof(struct icmp_start);

	pkt->inner_sport = 0;
	pkt->inner_dport = 0;
	return pkt->family == 4 ? parse_inner4(frame, pkt, offset)
				: parse_inner6(frame, pkt, offset);
}

#endif
