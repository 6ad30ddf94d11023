/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Neighbour discovery of pods (RFC 4861), as arp.h for IPv4: a solicitation for any address but
 * the pod's own is turned into an advertisement of the host side's MAC address. What hosts say
 * to routers and listeners (router solicitations, MLD reports, advertisements) is consumed; what
 * only routers may say is refused.
 */
#ifndef MARGAY_LIB_ND_H
#define MARGAY_LIB_ND_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "lib/csum.h"
#include "lib/endpoint.h"
#include "lib/icmp_types.h"
#include "lib/packet.h"

#define ND_HOP_LIMIT 255 /* RFC 4861 section 7.1.1: came over no router */
#define ND_BARE 24	 /* a message without options */
#define ND_WITH_MAC 32	 /* with one link-layer address */
#define ND_ROUTER_SOLICITED_OVERRIDE bpf_htonl(0xe0000000)
#define ND_OPTION_TARGET 2

struct nd_packet {
	struct ipv6hdr ip;
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 flags;
	union mg_addr target;
	__u8 option;
	__u8 option_length; /* in units of 8 bytes */
	__u8 mac[ETH_ALEN];
};

_Static_assert(sizeof(struct nd_packet) == sizeof(struct ipv6hdr) + ND_WITH_MAC, "nd_packet");

/* The answer around the solicitation's target, which is in place. */
static __always_inline void nd_fill(struct nd_packet *nd, const struct packet *pkt,
				    const struct mg_ep *ep, __u32 length)
{
	__be32 pseudo[2] = { bpf_htonl(length), bpf_htonl(IPPROTO_ICMPV6) };
	__u32 sum;

	*(__be32 *)&nd->ip = bpf_htonl(6U << 28);
	nd->ip.payload_len = bpf_htons(length);
	nd->ip.nexthdr = IPPROTO_ICMPV6;
	nd->ip.hop_limit = ND_HOP_LIMIT;
	__builtin_memcpy(&nd->ip.saddr, &nd->target, sizeof(nd->target));
	__builtin_memcpy(&nd->ip.daddr, &pkt->src, sizeof(pkt->src));
	nd->type = ICMP6_ADVERT;
	nd->check = 0;
	nd->flags = ND_ROUTER_SOLICITED_OVERRIDE;
	nd->option = ND_OPTION_TARGET;
	nd->option_length = 1;
	__builtin_memcpy(nd->mac, ep->host_mac, ETH_ALEN);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&nd->ip.saddr, 32, 0);
	sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&nd->type, ND_BARE, sum);
	if (length == ND_WITH_MAC)
		sum = bpf_csum_diff(NULL, 0, (__be32 *)&nd->option, ND_WITH_MAC - ND_BARE, sum);
	nd->check = csum_fold(sum);
}

static __always_inline int nd_write(struct __sk_buff *skb, struct packet *pkt,
				    const struct mg_ep *ep, __u32 length)
{
	__u8 macs[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, ETH_ALEN, macs, ETH_ALEN))
		return -1;
	__builtin_memcpy(macs + ETH_ALEN, ep->host_mac, ETH_ALEN);
	if (bpf_skb_change_tail(skb, ETH_HLEN + sizeof(struct ipv6hdr) + length, 0) ||
	    bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return -1;
	if (length == ND_WITH_MAC)
		return bpf_skb_store_bytes(skb, ETH_HLEN, pkt->bytes, sizeof(struct nd_packet), 0);
	return bpf_skb_store_bytes(skb, ETH_HLEN, pkt->bytes, sizeof(struct ipv6hdr) + ND_BARE, 0);
}

/* A solicitation without an option is a unicast one, whose sender knows our address: the answer
 * may go without too (section 7.2.4), and so has room in the packet's place. */
__weak __noinline int nd_answer(struct __sk_buff *skb, struct packet *pkt, struct mg_ep *ep)
{
	struct nd_packet *nd;
	__u32 length;

	if (!pkt || !ep)
		return -MG_DROP_INTERNAL;
	nd = (void *)pkt->bytes;
	if (pkt->ttl != ND_HOP_LIMIT || pkt->icmp_code ||
	    pkt->l4_offset != ETH_HLEN + sizeof(struct ipv6hdr) ||
	    pkt->l3_length < sizeof(struct ipv6hdr) + ND_BARE)
		return -MG_DROP_MALFORMED;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, nd, sizeof(struct ipv6hdr) + ND_BARE))
		return -MG_DROP_SHORT;
	if (nd->target.b[0] == 0xff)
		return -MG_DROP_MALFORMED;
	if (addr_is_zero(&pkt->src) || addr_equal(&nd->target, &ep->ip6))
		return MG_FINAL_CONSUMED; /* a test for a double */
	length = pkt->l3_length >= sizeof(struct nd_packet) ? ND_WITH_MAC : ND_BARE;
	nd_fill(nd, pkt, ep, length);
	return nd_write(skb, pkt, ep, length) ? -MG_DROP_INTERNAL : MG_FINAL_REPLY;
}

/* Step: messages that belong to the link. 0: the packet is none of them. */
static __always_inline int nd_link(struct __sk_buff *skb, struct packet *pkt, struct mg_ep *ep)
{
	if (pkt->proto != IPPROTO_ICMPV6 || (pkt->flags & PKT_LATER_FRAGMENT))
		return 0;
	switch (pkt->icmp_type) {
	case ICMP6_ROUTER:
	case ICMP6_REDIRECT:
		return -MG_DROP_POD_CONTROL;
	case ICMP6_SOLICIT:
		return nd_answer(skb, pkt, ep);
	case ICMP6_MLD_QUERY ... ICMP6_ROUTER_SOLICIT:
	case ICMP6_ADVERT:
	case ICMP6_MLD2_REPORT:
		return MG_FINAL_CONSUMED;
	}
	return 0;
}

#endif
