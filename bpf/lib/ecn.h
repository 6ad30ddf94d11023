/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Explicit congestion notification through a tunnel. In: the outer field is the inner one
 * (RFC 6040 section 4.1, normal mode), done by encap.h. Out: the table of section 4.2.
 */
#ifndef MARGAY_LIB_ECN_H
#define MARGAY_LIB_ECN_H

#include <linux/bpf.h>
#include <stddef.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/packet.h"

enum { ECN_NOT_ECT, ECN_ECT1, ECN_ECT0, ECN_CE, ECN_MASK = 3 };

/* The inner field after the outer one was taken off; -1: the packet has to be dropped. */
static __always_inline int ecn_combine(__u32 inner, __u32 outer)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	if (outer == ECN_ECT1 && inner == ECN_ECT0)
		return ECN_ECT1;
	return inner;
}

static __always_inline int tos_store(struct __sk_buff *skb, struct packet *pkt, __u8 tos)
{
	__u32 at = pkt->l3_offset;
	__be16 word;

	if (pkt->family == 4) {
		/* version and header length stand in the upper byte and do not change */
		if (bpf_l3_csum_replace(skb, at + offsetof(struct iphdr, check),
					bpf_htons(pkt->tos), bpf_htons(tos), sizeof(word)) ||
		    bpf_skb_store_bytes(skb, at + offsetof(struct iphdr, tos), &tos, sizeof(tos),
					0))
			return -MG_DROP_CSUM;
	} else {
		if (bpf_skb_load_bytes(skb, at, &word, sizeof(word)))
			return -MG_DROP_SHORT;
		word = (word & bpf_htons(0xf00f)) | bpf_htons(tos << 4);
		if (bpf_skb_store_bytes(skb, at, &word, sizeof(word), BPF_F_RECOMPUTE_CSUM))
			return -MG_DROP_CSUM;
	}
	pkt->tos = tos;
	return 0;
}

/* Step of decapsulation: outer is the outer packet's traffic class. */
static __always_inline int ecn_decap(struct __sk_buff *skb, struct packet *pkt, __u8 outer)
{
	int ecn = ecn_combine(pkt->tos & ECN_MASK, outer & ECN_MASK);

	if (ecn < 0)
		return -MG_DROP_MALFORMED;
	if (ecn == (pkt->tos & ECN_MASK))
		return 0;
	return tos_store(skb, pkt, (pkt->tos & ~ECN_MASK) | ecn);
}

#endif
