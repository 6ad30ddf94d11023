/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns a TCP segment that is not let through into the reset that tells its sender (where
 * MG_LOCAL_RST asks for it): a segment of a connection that policy has revoked, or that
 * this node does not know, as the receiver's stack would answer one of a connection that is not
 * there (RFC 9293 section 3.10.7.1). Sequence number and flags are that section's; the number is
 * what the sender expects next, so that its stack accepts the reset (RFC 5961 section 3.2).
 *
 * What is not answered: SYNs (a new connection that is denied; but see service_refuse()), resets,
 * fragments, and segments behind IP options or extension headers. The answer has the addresses
 * turned around, so it goes back the way the segment came.
 */
#ifndef MARGAY_LIB_RESET_H
#define MARGAY_LIB_RESET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/flow.h"
#include "lib/icmp_reply.h"
#include "lib/log.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/swap.h"
#include "lib/trace.h"

#define RESET_DATA_OFFSET (sizeof(struct tcphdr) / 4 << 4)

static __always_inline bool reset_wanted(const struct packet *pkt, const struct mg_local *local)
{
	return local->flags & MG_LOCAL_RST && pkt->proto == IPPROTO_TCP &&
	       !(pkt->tcp_flags & (TCP_SYN | TCP_RST)) && !(pkt->flags & (PKT_FRAGMENT | PKT_WALK));
}

/* What the segment fills of the sequence space. */
static __always_inline __u32 reset_length(const struct packet *pkt, const struct tcphdr *tcp)
{
	__u32 headers = pkt->l4_offset - pkt->l3_offset + tcp->doff * 4;

	return pkt->l3_length - headers + tcp->syn + tcp->fin;
}

/* The answer's TCP header in place of the segment's. */
static __always_inline void reset_tcp(struct packet *pkt, struct tcphdr *tcp)
{
	__be32 seq = tcp->ack ? tcp->ack_seq : 0;
	__be32 ack_seq = tcp->ack ? 0 : bpf_htonl(bpf_ntohl(tcp->seq) + reset_length(pkt, tcp));
	__u8 flags = tcp->ack ? TCP_RST : TCP_RST | TCP_ACK;

	SWAP(tcp->source, tcp->dest);
	tcp->seq = seq;
	tcp->ack_seq = ack_seq;
	((__u8 *)tcp)[12] = RESET_DATA_OFFSET;
	((__u8 *)tcp)[13] = flags;
	tcp->window = 0;
	tcp->check = 0;
	tcp->urg_ptr = 0;
}

static __always_inline void reset_ip4(struct packet *pkt, struct iphdr *ip)
{
	__u16 *half = (void *)ip;
	__u64 sum = 0;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct tcphdr));
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = REPLY_TTL;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = pkt->dst.w[3];
	ip->daddr = pkt->src.w[3];
	for (int i = 0; i < 10; i++)
		sum += half[i];
	ip->check = csum_fold(sum);
}

static __always_inline void reset_ip6(struct packet *pkt, struct ipv6hdr *ip)
{
	*(__be32 *)ip = bpf_htonl(6U << 28);
	ip->payload_len = bpf_htons(sizeof(struct tcphdr));
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = REPLY_TTL;
	__builtin_memcpy(&ip->saddr, &pkt->dst, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &pkt->src, sizeof(ip->daddr));
}

/* The sum over both addresses, protocol and length: what a v4-mapped prefix adds is taken off by
 * summing the last words alone. */
static __always_inline __u32 reset_pseudo(const struct packet *pkt)
{
	__be32 rest[4] = { bpf_htonl(IPPROTO_TCP), bpf_htonl(sizeof(struct tcphdr)) };
	__u32 sum;

	if (pkt->family == 4) {
		rest[2] = pkt->src.w[3];
		rest[3] = pkt->dst.w[3];
		return bpf_csum_diff(NULL, 0, rest, sizeof(rest), 0);
	}
	sum = bpf_csum_diff(NULL, 0, (__be32 *)pkt->src.w, sizeof(pkt->src), 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)pkt->dst.w, sizeof(pkt->dst), sum);
	return bpf_csum_diff(NULL, 0, rest, 2 * sizeof(rest[0]), sum);
}

static __always_inline int reset_sum(struct __sk_buff *skb, struct packet *pkt,
				     const struct tcphdr *tcp)
{
	__u32 at = pkt->l4_offset + offsetof(struct tcphdr, check), sum = reset_pseudo(pkt);
	bool partial;
	__u16 check;

	if (csum_is_partial(skb, at, &partial))
		return -1;
	if (partial)
		check = ~csum_fold(sum);
	else
		check = csum_fold(bpf_csum_diff(NULL, 0, (__be32 *)tcp, sizeof(*tcp), sum));
	return bpf_skb_store_bytes(skb, at, &check, sizeof(check), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int reset_write(struct __sk_buff *skb, struct packet *pkt,
				       struct tcphdr *tcp)
{
	__u32 length = pkt->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	void *ip = pkt->bytes;

	if (pkt->family == 4)
		reset_ip4(pkt, ip);
	else
		reset_ip6(pkt, ip);
	if (bpf_skb_store_bytes(skb, pkt->l3_offset, ip, length, BPF_F_RECOMPUTE_CSUM))
		return -1;
	if (bpf_skb_store_bytes(skb, pkt->l4_offset, tcp, sizeof(*tcp), BPF_F_RECOMPUTE_CSUM))
		return -1;
	return reset_sum(skb, pkt, tcp);
}

/* Verified once. reason: why the segment goes no further. MG_FINAL_REPLY: it is an answer now, and
 * counted; -reason: it is not. */
__weak __noinline int reset_make(struct __sk_buff *skb, struct packet *pkt, int reason)
{
	struct tcphdr tcp;

	pkt = packet_row(pkt);
	if (!pkt || reason <= 0 || reason >= MG_DROP_MAX)
		return -MG_DROP_INTERNAL;
	if (!reply_allowed(pkt) || bpf_skb_load_bytes(skb, pkt->l4_offset, &tcp, sizeof(tcp)))
		return -reason;
	trace_step(MG_STEP_DROP, reason, 0, 0);
	count_drop(pkt, reason);
	event_drop(skb, pkt, reason);
	log_tell(skb, pkt, reason);
	reset_tcp(pkt, &tcp);
	if (bpf_skb_change_tail(skb, pkt->l4_offset + sizeof(tcp), 0) ||
	    reset_write(skb, pkt, &tcp) || (!(pkt->flags & PKT_NO_L2) && reply_turn_link(skb)))
		return MG_FINAL_CONSUMED;
	trace_step(MG_STEP_RESET, bpf_ntohl(tcp.seq), bpf_ntohl(tcp.ack_seq), 0);
	return MG_FINAL_REPLY;
}

/* Step for a segment that is refused for r: the answer, where one is wanted; else r again. */
static __always_inline int reset(struct __sk_buff *skb, struct packet *pkt,
				 const struct mg_local *local, int r)
{
	return r < 0 && reset_wanted(pkt, local) ? reset_make(skb, pkt, -r) : r;
}

#endif
