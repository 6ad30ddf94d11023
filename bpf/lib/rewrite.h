/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes bytes of a packet as the flow row found (or just made) says: one address and its port,
 * and the hop limit. struct packet follows, so that later steps see what is on the wire.
 *
 * The second and later fragments of a packet get the address; ports and checksum stand in the
 * first one.
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
#include "lib/sctp.h"
#include "lib/swap.h"

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

/* The port at this place of the transport header. Verified once. */
__weak __noinline int rewrite_port(struct __sk_buff *skb, struct packet *pkt, __u32 at, __u32 from,
				   __u32 to)
{
	__be16 port = to;
	__u32 check;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (from == to || !pkt->l4_offset)
		return 0;
	if (pkt->proto == IPPROTO_SCTP)
		return sctp_port(skb, pkt, at, from, to);
	check = rewrite_check(pkt);
	if (!check)
		return 0;
	if (bpf_l4_csum_replace(skb, check, from, to, csum_flags(pkt->proto) | sizeof(port)) ||
	    bpf_skb_store_bytes(skb, pkt->l4_offset + at, &port, sizeof(port), 0))
		return -MG_DROP_CSUM;
	return 0;
}

/* Where the port of an end stands, from the transport header on. */
static __always_inline __u32 rewrite_port_at(const struct packet *pkt, bool source)
{
	return pkt->flags & PKT_ICMP_QUERY ? 4 : source ? 0 : 2;
}

/* Both ends' addresses change places: no sum changes. Then the ports as ever. */
static __always_inline int rewrite_exchange(struct __sk_buff *skb, struct packet *pkt, bool source)
{
	__be16 *port = source ? &pkt->sport : &pkt->dport;
	__u32 at = pkt->l3_offset;
	int r;

	SWAP(pkt->src, pkt->dst);
	if (pkt->family == 4) {
		__be32 both[2] = { pkt->src.w[3], pkt->dst.w[3] };

		r = bpf_skb_store_bytes(skb, at + offsetof(struct iphdr, saddr), both, sizeof(both),
					0);
	} else {
		r = bpf_skb_store_bytes(skb, at + offsetof(struct ipv6hdr, saddr), &pkt->src,
					sizeof(pkt->src), 0);
		r |= bpf_skb_store_bytes(skb, at + offsetof(struct ipv6hdr, daddr), &pkt->dst,
					 sizeof(pkt->dst), 0);
	}
	if (r)
		return -MG_DROP_CSUM;
	r = rewrite_port(skb, pkt, rewrite_port_at(pkt, source), *port, pkt->xport);
	*port = pkt->xport;
	return r;
}

/* The source end, or else the destination. */
static __always_inline int rewrite_one(struct __sk_buff *skb, struct packet *pkt, bool source)
{
	union mg_addr *addr;
	__be16 port;
	__u32 at;
	int r;

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
	r = rewrite_port(skb, pkt, rewrite_port_at(pkt, source), port, pkt->xport);
	if (r)
		return r;
	*addr = pkt->xlat;
	if (source || pkt->flags & PKT_ICMP_QUERY)
		pkt->sport = pkt->xport;
	if (!source || pkt->flags & PKT_ICMP_QUERY)
		pkt->dport = pkt->xport;
	return 0;
}

/* Verified once, whoever calls it. */
__weak __noinline int rewrite_end(struct __sk_buff *skb, struct packet *pkt, __u32 source)
{
	if (!pkt)
		return -MG_DROP_INTERNAL;
	return pkt->flags & PKT_HAIRPIN ? rewrite_exchange(skb, pkt, source)
					: rewrite_one(skb, pkt, source);
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
