/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What stands between the fixed network header and the transport header: IPv4 options, IPv6
 * extension headers. Places are kept in the scratch row (cursor.h says why). A walk is
 * walk_begin(), walk_step() until it is not 0 or was called walk_most() times, and walk_end(): who
 * walks brings the loop, so that programs verify a step once (parse_skb.h).
 */
#ifndef MARGAY_LIB_PARSE_WALK_H
#define MARGAY_LIB_PARSE_WALK_H

#include <stdbool.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>

#include "lib/cursor.h"
#include "lib/packet.h"

#define MG_EXT_MAX 6
#define MG_IP_OPTIONS_MAX 12

#define IP_OPTION_END 0
#define IP_OPTION_NOP 1
#define IP_OPTION_LSRR 131
#define IP_OPTION_SSRR 137

#define WALK_DONE 1 /* of a step: nothing is left; 0: go on; negative: a drop reason */

/* One option: looks for source routes between the fixed header and pkt->l4_offset. */
static __always_inline int walk_option(const struct frame *frame, struct packet *pkt)
{
	__u32 at = recall(&pkt->walk), end = recall(&pkt->l4_offset);
	__u8 *option = bytes_at(frame, at, 1);

	if (at >= end)
		return WALK_DONE;
	if (!option)
		return -MG_DROP_SHORT;
	if (*option == IP_OPTION_LSRR || *option == IP_OPTION_SSRR)
		return -MG_DROP_IP_OPTIONS;
	if (*option == IP_OPTION_END)
		return WALK_DONE;
	if (*option == IP_OPTION_NOP) {
		pkt->walk = at + 1;
		return 0;
	}
	if ((void *)(option + 2) > frame->end)
		return -MG_DROP_SHORT;
	if (option[1] < 2 || at + option[1] > end)
		return -MG_DROP_MALFORMED;
	pkt->walk = at + option[1];
	return 0;
}

struct ext_header {
	__u8 next;
	__u8 length; /* in units of 8 bytes, less one */
	__u8 type;   /* routing header */
	__u8 left;
	__be32 id; /* fragment header; its offset stands in the two bytes before */
};

static __always_inline void parse_fragment6(struct packet *pkt, const struct ext_header *ext)
{
	__u32 offset = ext->type << 8 | ext->left;

	if (!(offset & ~6U))
		return; /* atomic (RFC 6946) */
	pkt->flags |= PKT_FRAGMENT;
	pkt->frag_id = ext->id;
	if (offset & ~7U)
		pkt->flags |= PKT_LATER_FRAGMENT;
}

static __always_inline bool is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_DSTOPTS;
}

/* One header on the way to the transport header; pkt->proto and l4_offset are its own on entry and
 * the next one's behind. Behind the fragment header of a later fragment there are no headers. */
static __always_inline int walk_extension(const struct frame *frame, struct packet *pkt)
{
	__u32 at = recall(&pkt->l4_offset);
	struct ext_header *ext;

	if (!is_extension(pkt->proto) || (pkt->flags & PKT_LATER_FRAGMENT))
		return WALK_DONE;
	if (at >= FRAME_OFFSETS - sizeof(*ext))
		return -MG_DROP_IP_OPTIONS;
	ext = bytes_at(frame, at, sizeof(*ext));
	if (!ext)
		return -MG_DROP_SHORT;
	if (pkt->proto == IPPROTO_ROUTING && ext->left)
		return -MG_DROP_IP_OPTIONS; /* goes elsewhere than dst says */
	if (pkt->proto == IPPROTO_FRAGMENT)
		parse_fragment6(pkt, ext);
	else
		at += ext->length * 8;
	pkt->proto = ext->next;
	pkt->l4_offset = at + sizeof(*ext);
	return 0;
}

static __always_inline void walk_begin(struct packet *pkt)
{
	pkt->walk = pkt->l3_offset + sizeof(struct iphdr);
}

static __always_inline __u32 walk_most(const struct packet *pkt)
{
	return pkt->family == 4 ? MG_IP_OPTIONS_MAX : MG_EXT_MAX;
}

static __always_inline int walk_step(const struct frame *frame, struct packet *pkt)
{
	return pkt->family == 4 ? walk_option(frame, pkt) : walk_extension(frame, pkt);
}

/* r: of the last step, 0 where there may be more. */
static __always_inline int walk_end(const struct packet *pkt, int r)
{
	if (r)
		return r < 0 ? r : 0;
	if (pkt->family == 4)
		return pkt->walk < pkt->l4_offset ? -MG_DROP_IP_OPTIONS : 0;
	return is_extension(pkt->proto) || pkt->l4_offset >= FRAME_OFFSETS ? -MG_DROP_IP_OPTIONS
									   : 0;
}

/* The whole walk, for native callers. */
static __always_inline int parse_walk(const struct frame *frame, struct packet *pkt)
{
	int r = 0;

	walk_begin(pkt);
	for (__u32 i = 0; !r && i < walk_most(pkt); i++)
		r = walk_step(frame, pkt);
	return walk_end(pkt, r);
}

#endif
