/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a router says of a packet that goes no further: it is too large for its way, or its hop
 * limit is used up. Redirects check neither.
 */
#ifndef MARGAY_LIB_MTU_H
#define MARGAY_LIB_MTU_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/icmp_reply.h"
#include "lib/packet.h"
#include "lib/pmtu.h"
#include "lib/rewrite.h"

/*
 * Step, after route_world() or route_node() and before anything is rewritten: out_mtu is what
 * fits. The sender is told (RFC 1191, 4443, 8201), with what a packet of its own may measure. An
 * IPv4 packet that may be fragmented goes to the stack, which does that by its own route to the
 * same place; to_netdev meets the fragments.
 */
static __always_inline int too_big(struct __sk_buff *skb, struct packet *pkt)
{
	__u32 mtu = pkt->out_mtu;

	/* no sender of IPv6 makes smaller ones: on such a way they are tried as they are */
	if (pkt->family == 6 && mtu && mtu < PMTU_LEAST6)
		mtu = PMTU_LEAST6;
	if (!mtu || (!skb->gso_size && pkt->l3_length <= mtu) || segment_length(skb, pkt) <= mtu)
		return 0;
	if (!(pkt->flags & PKT_DF))
		return MG_FINAL_STACK;
	return reply_too_big(skb, pkt, mtu);
}

/* Step: one hop less, or the answer that none is left. */
static __always_inline int hop(struct __sk_buff *skb, struct packet *pkt)
{
	int r = ttl_decrement(skb, pkt);

	return r == -MG_DROP_TTL ? reply_ttl(skb, pkt) : r;
}

#endif
