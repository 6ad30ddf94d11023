/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns a packet into the ICMP error that a router would send back about it (RFC 792, 1191, 1812
 * section 4.3, 4443). As much of the packet as the RFCs ask for is quoted, in whole words; the
 * answer goes back where the packet came from: to a pod from the node's address. The host's stack
 * takes none of its own addresses for a source from outside: there the receiver speaks.
 */
#ifndef MARGAY_LIB_ICMP_REPLY_H
#define MARGAY_LIB_ICMP_REPLY_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/event.h"
#include "lib/icmp_types.h"
#include "lib/log.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/pmtu.h"
#include "lib/trace.h"

#define REPLY_TTL 64
#define REPLY_QUOTE4 544  /* RFC 1812: the answer has at most 576 bytes; a multiple of 32 */
#define REPLY_QUOTE6 1216 /* RFC 4443: at most 1,280 */
#define REPLY_WINDOW_SHIFT 7
#define REPLY_LIMIT 64 /* answers a CPU and window of 134 ms (RFC 4443 section 2.4 (f)) */
#define REPLY_CHUNK 32
#define REPLY_CHUNKS (REPLY_QUOTE6 / REPLY_CHUNK + REPLY_CHUNK / 4)

struct icmp_head {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 word; /* of frag-needed and packet-too-big: the MTU */
};

/* RFC 1122 section 3.2.2: what must not be answered. */
static __always_inline bool reply_allowed(struct packet *pkt)
{
	__u32 window = pkt->tick >> REPLY_WINDOW_SHIFT;

	if (pkt->flags & (PKT_ICMP_ERROR | PKT_LATER_FRAGMENT | PKT_MULTICAST))
		return false;
	if (pkt->reply_window != window) {
		pkt->reply_window = window;
		pkt->reply_count = 0;
	}
	return pkt->reply_count++ < REPLY_LIMIT;
}

/* A sum over bytes of the packet; the callback's memory. */
struct reply_sum {
	struct __sk_buff *skb;
	struct packet *pkt;
	__u32 at;
	__u32 left; /* a multiple of 4 */
	__u32 sum;
	bool failed;
};

/* Callback of bpf_loop(): one chunk through packet.bytes; 1 ends it. */
static long reply_sum_chunk(__u32 index, struct reply_sum *sum)
{
	__u32 bytes = sum->left >= REPLY_CHUNK ? REPLY_CHUNK : 4;
	__be32 *to = (void *)sum->pkt->bytes;

	(void)index;
	if (!sum->left)
		return 1;
	if (bpf_skb_load_bytes(sum->skb, sum->at, to, bytes)) {
		sum->failed = true;
		return 1;
	}
	sum->sum = bpf_csum_diff(NULL, 0, to, bytes, sum->sum);
	sum->at += bytes;
	sum->left -= bytes;
	return 0;
}

/* Who answers; own: this node's address of the family, if it has one. */
static __always_inline const union mg_addr *reply_source(const struct packet *pkt,
							 const union mg_addr *own)
{
	return pkt->hook == MG_HOOK_TO_NETDEV || addr_is_zero(own) ? &pkt->dst : own;
}

static __always_inline void reply_ip4(struct packet *pkt, const struct mg_local *local,
				      __u32 length)
{
	struct iphdr *ip = (void *)pkt->bytes;
	__u16 *half = (void *)ip;
	__u64 sum = 0;

	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tos = 0xc0; /* RFC 1812 section 4.3.2.5: precedence internetwork control */
	ip->tot_len = bpf_htons(length);
	ip->ttl = REPLY_TTL;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = reply_source(pkt, &local->ip4)->w[3];
	ip->daddr = pkt->src.w[3];
	for (int i = 0; i < 10; i++)
		sum += half[i];
	ip->check = csum_fold(sum);
}

/* The header, and the sum over its pseudo header. */
static __always_inline __u32 reply_ip6(struct packet *pkt, const struct mg_local *local,
				       __u32 length)
{
	struct ipv6hdr *ip = (void *)pkt->bytes;
	__be32 pseudo[2] = { bpf_htonl(length), bpf_htonl(IPPROTO_ICMPV6) };
	const union mg_addr *from = reply_source(pkt, &local->ip6);
	__u32 sum;

	*(__be32 *)ip = bpf_htonl(6U << 28);
	ip->payload_len = bpf_htons(length);
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = REPLY_TTL;
	__builtin_memcpy(&ip->saddr, from, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, &pkt->src, sizeof(ip->daddr));
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&ip->saddr, 32, 0);
	return bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), sum);
}

static __always_inline int reply_turn_link(struct __sk_buff *skb)
{
	__u8 macs[2 * ETH_ALEN], back[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)))
		return -1;
	__builtin_memcpy(back, macs + ETH_ALEN, ETH_ALEN);
	__builtin_memcpy(back + ETH_ALEN, macs, ETH_ALEN);
	return bpf_skb_store_bytes(skb, 0, back, sizeof(back), 0);
}

/* The IP header into packet.bytes and from there into the packet, the sum that the ICMP checksum
 * begins with into ret_sum. */
static __always_inline int reply_ip(struct __sk_buff *skb, struct packet *pkt,
				    const struct mg_local *local, __u32 icmp_bytes, __u32 *ret_sum)
{
	if (pkt->family == 4) {
		reply_ip4(pkt, local, sizeof(struct iphdr) + icmp_bytes);
		*ret_sum = 0;
		return bpf_skb_store_bytes(skb, pkt->l3_offset, pkt->bytes, sizeof(struct iphdr),
					   0);
	}
	*ret_sum = reply_ip6(pkt, local, icmp_bytes);
	return bpf_skb_store_bytes(skb, pkt->l3_offset, pkt->bytes, sizeof(struct ipv6hdr), 0);
}

static __always_inline int reply_write(struct __sk_buff *skb, struct packet *pkt,
				       const struct mg_local *local, struct icmp_head *head,
				       __u32 quote)
{
	__u32 at =
		pkt->l3_offset + (pkt->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	struct reply_sum sum = { .skb = skb, .pkt = pkt, .at = at + sizeof(*head), .left = quote };

	if (reply_ip(skb, pkt, local, sizeof(*head) + quote, &sum.sum))
		return -1;
	sum.sum = bpf_csum_diff(NULL, 0, (__be32 *)head, sizeof(*head), sum.sum);
	bpf_loop(REPLY_CHUNKS, reply_sum_chunk, &sum, 0);
	if (sum.failed)
		return -1;
	head->check = csum_fold(sum.sum);
	if (bpf_skb_store_bytes(skb, at, head, sizeof(*head), 0))
		return -1;
	return pkt->l3_offset == ETH_HLEN ? reply_turn_link(skb) : 0;
}

/* Counts the packet under its reason and answers it; without an answer it is just dropped. */
static __always_inline int reply_make(struct __sk_buff *skb, struct packet *pkt, __u32 reason,
				      struct icmp_head *head)
{
	const struct mg_local *local = local_row();
	__u32 limit = pkt->family == 4 ? REPLY_QUOTE4 : REPLY_QUOTE6;
	__u32 quote = (pkt->l3_length > limit ? limit : pkt->l3_length) & ~3U;
	__u32 room =
		sizeof(*head) + (pkt->family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));

	if (!local || !reply_allowed(pkt))
		return -(int)reason;
	trace_step(MG_STEP_DROP, reason, 0, 0);
	count_drop(pkt, reason);
	event_drop(skb, pkt, reason);
	log_tell(skb, pkt, reason);
	if (bpf_skb_change_tail(skb, pkt->l3_offset + quote, 0) ||
	    bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0) ||
	    reply_write(skb, pkt, local, head, quote))
		return MG_FINAL_CONSUMED;
	return MG_FINAL_REPLY;
}

/* Verified once. what: type << 8 | code. */
__weak __noinline int reply(struct __sk_buff *skb, struct packet *pkt, __u32 reason, __u32 what,
			    __u32 word)
{
	struct icmp_head head = { .type = what >> 8, .code = what, .word = bpf_htonl(word) };

	if (!pkt || reason >= MG_DROP_MAX)
		return -MG_DROP_INTERNAL;
	return reply_make(skb, pkt, reason, &head);
}

/* Answers that mtu of a packet's bytes would have gone through. */
static __always_inline int reply_too_big(struct __sk_buff *skb, struct packet *pkt, __u32 mtu)
{
	__u32 what = pkt->family == 4 ? ICMP4_UNREACHABLE << 8 | ICMP4_CODE_FRAG_NEEDED
				      : ICMP6_TOO_BIG << 8;

	return reply(skb, pkt, MG_DROP_TOO_BIG, what, mtu);
}

/* Answers that the hop limit is used up. */
static __always_inline int reply_ttl(struct __sk_buff *skb, struct packet *pkt)
{
	__u32 type = pkt->family == 4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED;

	return reply(skb, pkt, MG_DROP_TTL, type << 8, 0);
}

/* Answers that nobody has the port. */
static __always_inline int reply_no_port(struct __sk_buff *skb, struct packet *pkt, __u32 reason)
{
	__u32 what = pkt->family == 4 ? ICMP4_UNREACHABLE << 8 | ICMP4_CODE_PORT
				      : ICMP6_UNREACHABLE << 8 | ICMP6_CODE_PORT;

	return reply(skb, pkt, reason, what, 0);
}

#endif
