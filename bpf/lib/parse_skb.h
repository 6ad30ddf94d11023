/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * parse.h for TC programs. The parts are global functions: the verifier takes each once, whatever
 * stands before and behind, where inlined they would multiply.
 */
#ifndef MARGAY_LIB_PARSE_SKB_H
#define MARGAY_LIB_PARSE_SKB_H

#include "lib/parse.h"

#define MG_PULL_BYTES 384 /* headers of the longest packet we read, a tunnel's included */

static __always_inline struct frame frame_of(struct __sk_buff *skb)
{
	struct frame frame = { .data = (void *)(long)skb->data,
			       .end = (void *)(long)skb->data_end };

	return frame;
}

/* The callback's memory. */
struct walk {
	struct __sk_buff *skb;
	struct packet *pkt;
	int r;
};

/* Callback of bpf_loop(); 1 ends it. */
static long parse_skb_step(__u32 index, struct walk *walk)
{
	struct frame frame = frame_of(walk->skb);

	(void)index;
	walk->r = walk_step(&frame, walk->pkt);
	return walk->r != 0;
}

__weak __noinline int parse_skb_walk(struct __sk_buff *skb, struct packet *pkt)
{
	struct walk walk = { .skb = skb, .pkt = pkt };

	if (!pkt)
		return -MG_DROP_INTERNAL;
	walk_begin(pkt);
	bpf_loop(walk_most(pkt), parse_skb_step, &walk, 0);
	return walk_end(pkt, walk.r);
}

__weak __noinline int parse_skb_inner(struct __sk_buff *skb, struct packet *pkt)
{
	struct frame frame = frame_of(skb);

	return pkt ? parse_inner(&frame, pkt) : -MG_DROP_INTERNAL;
}

static __always_inline int parse_skb_steps(struct __sk_buff *skb, struct packet *pkt)
{
	struct frame frame = frame_of(skb);
	int r = parse_fixed(&frame, pkt);

	packet_forget();
	if (!r && (pkt->flags & PKT_WALK)) {
		r = parse_skb_walk(skb, pkt);
		frame = frame_of(skb);
	}
	if (!r)
		r = parse_transport(&frame, pkt);
	packet_forget();
	if (!r && (pkt->flags & PKT_ICMP_ERROR))
		r = parse_skb_inner(skb, pkt);
	return r;
}

__weak __noinline int parse_skb_once(struct __sk_buff *skb, struct packet *pkt)
{
	return pkt ? parse_skb_steps(skb, pkt) : -MG_DROP_INTERNAL;
}

/* What the linear part did not hold. */
__weak __noinline int parse_skb_pulled(struct __sk_buff *skb, struct packet *pkt)
{
	if (bpf_skb_pull_data(skb, skb->len < MG_PULL_BYTES ? skb->len : MG_PULL_BYTES))
		return -MG_DROP_SHORT;
	return parse_skb_once(skb, pkt);
}

/* A first try reads what lies in the linear part, a second what bpf_skb_pull_data() brought
 * there. */
static __always_inline int parse_skb(struct __sk_buff *skb, struct packet *pkt)
{
	int r = parse_skb_once(skb, pkt);

	return r == -MG_DROP_SHORT ? parse_skb_pulled(skb, pkt) : r;
}

/* The same without a call for what needs none: where every packet passes (a call costs as much
 * as a quarter of a hash lookup). */
static __always_inline int parse_skb_near(struct __sk_buff *skb, struct packet *pkt)
{
	int r = parse_skb_steps(skb, pkt);

	return r == -MG_DROP_SHORT ? parse_skb_pulled(skb, pkt) : r;
}

#endif
