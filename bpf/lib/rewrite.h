/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes bytes of a packet as the flow row found (or just made) says: one address and its port,
 * and the hop limit. struct packet follows, so that later steps see what is on the wire.
 *
 * SCTP is translated by address only: its CRC32c covers none. The second and later fragments of
 * a packet get the address; ports and checksum stand in the first one.
 */
#ifndef MARGAY_LIB_REWRITE_H
#define MARGAY_LIB_REWRITE_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stddef.h>
#include <stdbool.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/addr_ops.h"
#include "lib/packet.h"

/* The checksum's place in the frame; 0: there is none to update. */
static __always_inline __u32 rewrite_check(const struct packet *pkt)
{
	__u32 offset = csum_offset(pkt->proto);

	return pkt->l4_offset && offset != CSUM_NONE ? pkt->l4_offset + offset : 0;
}

static __always_inline int rewrite_addr4(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
					 __be32 from, __be32 to)
{
	__u32 check = rewrite_check(pkt);

	if (check && csum_has_pseudo(pkt->proto) &&
	    bpf_l4_csum_replace(skb, check, from, to,
				BPF_F_PSEUDO_HDR | csum_flags(pkt->proto) | sizeof(to)))
		return -MG_DROP_CSUM;
	if (bpf_l3_csum_replace(skb, pkt->l3_offset + offsetof(struct iphdr, check), from, to,
				sizeof(to)))
		return -MG_DROP_CSUM;
	return bpf_skb_store_bytes(skb, pkt->l3_offset + at, &to, sizeof(to), 0) ? -MG_DROP_CSUM
										 : 0;
}

static __always_inline int rewrite_addr6(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
					 const union mg_addr *from, const union mg_addr *to)
{
	__u32 check = rewrite_check(pkt);

	if (check && csum_has_pseudo(pkt->proto) &&
	    bpf_l4_csum_replace(skb, check, 0, csum_diff_addr(from, to),
				BPF_F_PSEUDO_HDR | csum_flags(pkt->proto)))
		return -MG_DROP_CSUM;
	return bpf_skb_store_bytes(skb, pkt->l3_offset + at, to, sizeof(*to), BPF_F_RECOMPUTE_CSUM)
		       ? -MG_DROP_CSUM
		       : 0;
}

static __always_inline int rewrite_port(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
					__be16 from, __be16 to)
{
	__u32 check = rewrite_check(pkt);

	if (from == to || !check)
		return 0;
	if (bpf_l4_csum_replace(skb, check, from, to, csum_flags(pkt->proto) | sizeof(to)) ||
	    bpf_skb_store_bytes(skb, pkt->l4_offset + at, &to, sizeof(to), 0))
		return -MG_DROP_CSUM;
	return 0;
}

/* The source end, or else the destination. Verified once, whoever calls it. */
__weak __noinline int rewrite_end(struct __sk_buff *skb, struct packet *pkt, __u32 source)
{
	union mg_addr *addr;
	__be16 port;
	__u32 at;
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	addr = source ? &pkt->src : &pkt->dst;
	port = source ? pkt->sport : pkt->dport;
	if (pkt->family == 4) {
		at = source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
		r = rewrite_addr4(skb, pkt, at, addr->w[3], pkt->xlat.w[3]);
	} else {
		at = source ? offsetof(struct ipv6hdr, saddr) : offsetof(struct ipv6hdr, daddr);
		r = rewrite_addr6(skb, pkt, at, addr, &pkt->xlat);
	}
	if (r)
		return r;
	at = pkt->flags & PKT_ICMP_QUERY ? 4 : source ? 0 : 2;
	r = rewrite_port(skb, pkt, at, port, pkt->xport);
	if (r)
		return r;
	*addr = pkt->xlat;
	if (source || pkt->flags & PKT_ICMP_QUERY)
		pkt->sport = pkt->xport;
	if (!source || pkt->flags & PKT_ICMP_QUERY)
		pkt->dport = pkt->xport;
	return 0;
}

/* Step: PKT_REWRITE_SRC or PKT_REWRITE_DST to xlat:xport, once. */
static __always_inline int rewrite(struct __sk_buff *skb, struct packet *pkt)
{
	__u32 what = pkt->flags & (PKT_REWRITE_SRC | PKT_REWRITE_DST);

	pkt->flags &= ~(PKT_REWRITE_SRC | PKT_REWRITE_DST);
	return what ? rewrite_end(skb, pkt, what & PKT_REWRITE_SRC) : 0;
}

/* The hop limit, pkt->ttl so far. */
static __always_inline int ttl_store(struct __sk_buff *skb, struct packet *pkt, __u8 ttl)
{
	__u32 at = pkt->l3_offset;

	if (pkt->family == 4) {
		at += offsetof(struct iphdr, ttl);
		if (bpf_l3_csum_replace(skb, pkt->l3_offset + offsetof(struct iphdr, check),
					bpf_htons(pkt->ttl << 8), bpf_htons(ttl << 8),
					sizeof(__be16)))
			return -MG_DROP_CSUM;
	} else {
		at += offsetof(struct ipv6hdr, hop_limit);
	}
	/* of the header's sum only IPv6 has nothing that balances the change */
	if (bpf_skb_store_bytes(skb, at, &ttl, sizeof(ttl),
				pkt->family == 4 ? 0 : BPF_F_RECOMPUTE_CSUM))
		return -MG_DROP_CSUM;
	pkt->ttl = ttl;
	return 0;
}

/* Step of a router: one hop less (RFC 791, 8200); -MG_DROP_TTL where none is left. */
static __always_inline int ttl_decrement(struct __sk_buff *skb, struct packet *pkt)
{
	return pkt->ttl <= 1 ? -MG_DROP_TTL : ttl_store(skb, pkt, pkt->ttl - 1);
}

#endif
