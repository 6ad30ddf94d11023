/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a packet is on the wire, and how long it may be on the way to a node.
 */
#ifndef MARGAY_LIB_PMTU_H
#define MARGAY_LIB_PMTU_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/packet.h"
#include "lib/tick.h"
#include "maps/pmtu.h"

#define ICMP4_CODE_FRAG_NEEDED 4
#define PMTU_LIFE (600 * TICKS_A_SECOND) /* RFC 1191 section 6.3: ten minutes */
#define PMTU_LEAST4 576			 /* less is no path of ours but somebody's joke */
#define PMTU_LEAST6 1280		 /* RFC 8200 section 5 */

/* The smaller one of the way's MTU and what routers told of it. */
static __always_inline __u32 pmtu_of(__u32 node, bool outer6, __u32 tick, __u32 mtu)
{
	const struct mg_pmtu *row = bpf_map_lookup_elem(&mg_pmtu, &node);
	__u32 learnt;

	if (!row)
		return mtu;
	learnt = row->mtu[outer6];
	return learnt && learnt < mtu && tick - row->seen[outer6] < PMTU_LIFE ? learnt : mtu;
}

static __always_inline void pmtu_learn(__u32 node, bool outer6, __u32 tick, __u32 mtu)
{
	struct mg_pmtu *row = bpf_map_lookup_elem(&mg_pmtu, &node);
	__u32 least = outer6 ? PMTU_LEAST6 : PMTU_LEAST4;

	if (!row)
		return;
	row->mtu[outer6] = mtu < least ? least : mtu;
	row->seen[outer6] = tick;
}

/* The longest packet this one becomes on the wire: of a GSO packet one segment, headers included.
 */
static __always_inline __u32 segment_length(const struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 header = sizeof(struct udphdr);
	__u8 offset;

	if (!skb->gso_size || !pkt->l4_offset)
		return pkt->l3_length;
	if (pkt->proto == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, pkt->l4_offset + 12, &offset, sizeof(offset)))
			return pkt->l3_length;
		header = offset >> 4 << 2;
	}
	return pkt->l4_offset - pkt->l3_offset + header + skb->gso_size;
}

#endif
