/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What routers say of the way of our own tunnels' packets.
 */
#ifndef MARGAY_LIB_ICMP_PATH_H
#define MARGAY_LIB_ICMP_PATH_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr.h"
#include "lib/icmp_types.h"
#include "lib/packet.h"
#include "lib/pmtu.h"

/* ICMP about one of our outer packets: only the way's size matters to us. */
static __always_inline void learn_path(struct __sk_buff *skb, const struct packet *pkt)
{
	struct mg_ident far;
	__be32 word;

	if (pkt->family == 4 ? pkt->icmp_type != ICMP4_UNREACHABLE ||
				       pkt->icmp_code != ICMP4_CODE_FRAG_NEEDED
			     : pkt->icmp_type != ICMP6_TOO_BIG)
		return;
	if (pkt->inner_proto != IPPROTO_IPIP && pkt->inner_proto != IPPROTO_IPV6 &&
	    pkt->inner_proto != IPPROTO_UDP)
		return;
	ident_exact(&pkt->inner_dst, &far);
	if (!(far.flags & MG_ADDR_HOST) || !far.node ||
	    bpf_skb_load_bytes(skb, pkt->l4_offset + 4, &word, sizeof(word)))
		return;
	pmtu_learn(far.node, pkt->family == 6, pkt->tick,
		   bpf_ntohl(word) & (pkt->family == 4 ? 0xffff : 0xffffffff));
}

#endif
