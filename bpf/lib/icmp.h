/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors: they belong to the flow of the packet they speak of, pass without a judgement of
 * their own, and are translated as that flow is, outside and in the quoted packet (RFC 5508
 * section 4.2): the quote must look to its sender as it was sent.
 *
 * An error travels like the flow's packets in the other direction than the quoted one, so the
 * quoted tuple, turned around, finds the row that translates that way. Checksums inside the quote
 * are kept right where the quote is long enough to hold them.
 */
#ifndef MARGAY_LIB_ICMP_H
#define MARGAY_LIB_ICMP_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/flow.h"
#include "lib/packet.h"
#include "lib/rewrite.h"

#define ICMP_HEADER_BYTES 8

/* Where the quoted headers lie in the frame, and which end of them changes. */
struct quote {
	__u32 l3;
	__u32 l4;
	bool source; /* the quote's source end changes, else its destination */
};

static __always_inline int quote_open(struct __sk_buff *skb, const struct packet *pkt,
				      struct quote *quote)
{
	__u8 first;

	quote->l3 = pkt->l4_offset + ICMP_HEADER_BYTES;
	if (bpf_skb_load_bytes(skb, quote->l3, &first, sizeof(first)))
		return -MG_DROP_SHORT;
	quote->l4 = quote->l3 + (pkt->family == 4 ? (first & 15) * 4 : sizeof(struct ipv6hdr));
	if (pkt->family == 6) {
		if (bpf_skb_load_bytes(skb, quote->l3 + offsetof(struct ipv6hdr, nexthdr), &first,
				       sizeof(first)))
			return -MG_DROP_SHORT;
		if (first == IPPROTO_FRAGMENT)
			quote->l4 += 8;
	}
	return 0;
}

/* Two bytes of the quote; the ICMP checksum over them follows. */
static __always_inline int quote_store2(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
					__be16 from, __be16 to)
{
	if (from == to)
		return 0;
	if (bpf_l4_csum_replace(skb, pkt->l4_offset + 2, from, to, sizeof(to)) ||
	    bpf_skb_store_bytes(skb, at, &to, sizeof(to), 0))
		return -MG_DROP_CSUM;
	return 0;
}

/* A checksum inside the quote, by what was added to what it covers. */
static __always_inline int quote_check(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
				       __u32 diff, bool zero_is_none)
{
	__be16 old, new;

	if (bpf_skb_load_bytes(skb, at, &old, sizeof(old)))
		return 0; /* the quote ends before */
	if (zero_is_none && !old)
		return 0;
	new = csum_fold((__u64)(__u16)~old + diff);
	if (zero_is_none && !new)
		new = 0xffff;
	return quote_store2(skb, pkt, at, old, new);
}

/* The changing end's address; ret_diff: what that adds to a sum over it. */
static __always_inline int quote_addr(struct __sk_buff *skb, const struct packet *pkt,
				      const struct quote *quote, __u32 *ret_diff)
{
	const union mg_addr *from = quote->source ? &pkt->inner_src : &pkt->inner_dst;
	__u32 at, diff = csum_diff_addr(from, &pkt->xlat);

	if (bpf_l4_csum_replace(skb, pkt->l4_offset + 2, 0, diff, 0))
		return -MG_DROP_CSUM;
	*ret_diff = diff;
	if (pkt->family == 6) {
		at = quote->source ? offsetof(struct ipv6hdr, saddr)
				   : offsetof(struct ipv6hdr, daddr);
		return bpf_skb_store_bytes(skb, quote->l3 + at, &pkt->xlat, sizeof(pkt->xlat), 0)
			       ? -MG_DROP_CSUM
			       : 0;
	}
	at = quote->source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
	if (bpf_skb_store_bytes(skb, quote->l3 + at, &pkt->xlat.w[3], sizeof(__be32), 0))
		return -MG_DROP_CSUM;
	return quote_check(skb, pkt, quote->l3 + offsetof(struct iphdr, check), diff, false);
}

/* The changing end's port, or the identifier of a query. */
static __always_inline int quote_port(struct __sk_buff *skb, const struct packet *pkt,
				      const struct quote *quote, __be16 to, __u32 diff)
{
	__be16 from = quote->source ? pkt->inner_sport : pkt->inner_dport;
	__u32 at = quote->l4 + (quote->source ? 0 : 2), check = csum_offset(pkt->inner_proto);
	bool query = pkt->inner_proto == IPPROTO_ICMP || pkt->inner_proto == IPPROTO_ICMPV6;
	int r;

	if (check == CSUM_NONE && pkt->inner_proto != IPPROTO_SCTP)
		return 0;
	if (query)
		at = quote->l4 + 4;
	r = quote_store2(skb, pkt, at, from, to);
	if (r || check == CSUM_NONE) /* SCTP's covers what is not quoted */
		return r;
	if (!csum_has_pseudo(pkt->inner_proto))
		diff = 0;
	diff = csum_fold(diff + (__u64)(__u16)~from + to) ^ 0xffff;
	return quote_check(skb, pkt, quote->l4 + check, diff, pkt->inner_proto == IPPROTO_UDP);
}

/* Outside: the end that the row translates, unless a router on the way speaks: one between a
 * service's client and its backend may, but nobody before a source that is translated. */
static __always_inline int icmp_outside(struct __sk_buff *skb, struct packet *pkt, bool snat,
					bool service)
{
	if (!snat) {
		pkt->xport = pkt->dport;
		return rewrite_end(skb, pkt, 0);
	}
	if (!addr_equal(&pkt->src, &pkt->inner_dst))
		return service ? 0 : -MG_DROP_ICMP_UNRELATED;
	pkt->xport = pkt->sport;
	return rewrite_end(skb, pkt, 1);
}

static __always_inline int icmp_translate(struct __sk_buff *skb, struct packet *pkt,
					  const struct mg_flow *flow)
{
	bool snat = flow->flags & MG_FLOW_SNAT;
	bool service = flow_is_service(flow);
	struct quote quote = { .source = !snat };
	__be16 port = flow->way[1];
	__u32 diff = 0;
	int r;

	/* a pod's word to itself, which it knows without */
	if (service && flow_is_hairpin(flow, &pkt->inner_dst, &pkt->inner_src))
		return -MG_DROP_ICMP_UNRELATED;
	pkt->xlat = flow->xlat;
	r = quote_open(skb, pkt, &quote);
	if (!r)
		r = quote_addr(skb, pkt, &quote, &diff);
	if (!r)
		r = quote_port(skb, pkt, &quote, port, diff);
	return r ? r : icmp_outside(skb, pkt, snat, service);
}

/*
 * Step for PKT_ICMP_ERROR: 0 where the quoted packet is of a flow we know; then the error goes
 * where pkt->dst (translated, if the flow is) says, as the flow's own packets do. The error must
 * be addressed to the quoted packet's sender. Verified once, whoever calls it.
 */
__weak __noinline int icmp_error_match(struct __sk_buff *skb, struct packet *pkt)
{
	struct flow_end src, dst;
	struct mg_flow *flow;
	bool swapped;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	src = (struct flow_end){ &pkt->inner_dst, pkt->inner_dport };
	dst = (struct flow_end){ &pkt->inner_src, pkt->inner_sport };
	if (!addr_equal(&pkt->dst, &pkt->inner_src))
		return -MG_DROP_ICMP_UNRELATED;
	swapped = flow_key_of(&pkt->key2, src, dst, pkt->inner_proto);
	flow = bpf_map_lookup_elem(&mg_flow_e, &pkt->key2);
	if (!flow)
		flow = bpf_map_lookup_elem(&mg_flow_t, &pkt->key2);
	if (!flow)
		return -MG_DROP_ICMP_UNRELATED;
	if (!(flow->flags & FLOW_TRANSLATED) || !(flow->flags & MG_FLOW_FROM_B) != !swapped)
		return 0;
	return icmp_translate(skb, pkt, flow);
}

#endif
