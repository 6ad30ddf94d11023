/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a router says of a packet that goes no further: it is too large for its way, or its hop
 * limit is used up. Redirects check neither.
 */
#ifndef MARGAY_LIB_MTU_H
#define MARGAY_LIB_MTU_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/icmp_reply.h"
#include "lib/packet.h"
#include "lib/pmtu.h"
#include "lib/rewrite.h"

#define HOP_BYTES (ETH_HLEN + 12) /* as far as hop limit and IPv4 checksum */

/* After route_world() or route_node(), before anything is rewritten: what a packet of the sender's
 * may measure, where this one is larger; 0: it fits. */
static __always_inline __u32 mtu_exceeded(const struct __sk_buff *skb, const struct packet *pkt)
{
	__u32 mtu = pkt->out_mtu;

	/* no sender of IPv6 makes smaller ones: on such a way they are tried as they are */
	if (pkt->family == 6 && mtu && mtu < PMTU_LEAST6)
		mtu = PMTU_LEAST6;
	if (!mtu || (!skb->gso_size && pkt->l3_length <= mtu) || segment_length(skb, pkt) <= mtu)
		return 0;
	return mtu;
}

/* Step of a pod's packet: its sender is told (RFC 1191, 4443, 8201). An IPv4 packet that may be
 * fragmented goes to the stack, which does that by its own route to the same place; to_netdev meets
 * the fragments. */
static __always_inline int too_big(struct __sk_buff *skb, struct packet *pkt)
{
	__u32 mtu = mtu_exceeded(skb, pkt);

	if (!mtu)
		return 0;
	return pkt->flags & PKT_DF ? reply_too_big(skb, pkt, mtu) : MG_FINAL_STACK;
}

/* One hop less, in place. Of a pod's packet no device has summed the bytes (it came over veth):
 * nothing else has to follow the change. IPv4's checksum balances it in any case. */
static __always_inline void hop_in_place(__u8 *ip, __u8 family)
{
	__u16 *check = (__u16 *)(ip + 10);
	__u32 sum;

	if (family == 6) {
		ip[7]--;
		return;
	}
	ip[8]--;
	sum = *check + bpf_htons(0x0100);
	*check = sum + (sum >= 0xffff); /* RFC 1141 */
}

/* Step of a pod's packet: one hop less, or the answer that none is left. */
static __always_inline int hop(struct __sk_buff *skb, struct packet *pkt)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if (pkt->ttl <= 1)
		return reply_ttl(skb, pkt);
	if ((void *)eth + HOP_BYTES > (void *)(long)skb->data_end)
		return -MG_DROP_INTERNAL;
	hop_in_place((__u8 *)(eth + 1), pkt->family);
	pkt->ttl--;
	return 0;
}

#endif
