/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What stands between the fixed network header and the transport header: IPv4 options, IPv6
 * extension headers. Places are kept in the scratch row (cursor.h says why).
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

/* Looks for source routes between the fixed header and pkt->l4_offset. */
static __always_inline int parse_options(const struct frame *frame, struct packet *pkt)
{
	pkt->walk = pkt->l3_offset + sizeof(struct iphdr);
	for (int i = 0; i < MG_IP_OPTIONS_MAX; i++) {
		__u32 at = recall(&pkt->walk), end = recall(&pkt->l4_offset);
		__u8 *option = bytes_at(frame, at, 1);

		if (at >= end)
			return 0;
		if (!option)
			return -MG_DROP_SHORT;
		if (*option == IP_OPTION_LSRR || *option == IP_OPTION_SSRR)
			return -MG_DROP_IP_OPTIONS;
		if (*option == IP_OPTION_END)
			return 0;
		if (*option == IP_OPTION_NOP) {
			pkt->walk = at + 1;
			continue;
		}
		if ((void *)(option + 2) > frame->end)
			return -MG_DROP_SHORT;
		if (option[1] < 2 || at + option[1] > end)
			return -MG_DROP_MALFORMED;
		pkt->walk = at + option[1];
	}
	return pkt->walk < pkt->l4_offset ? -MG_DROP_IP_OPTIONS : 0;
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

/* Walks to the transport header; pkt->proto and l4_offset are those of the first header on
 * entry. Behind the fragment header of a later fragment there are no headers. */
static __always_inline int parse_extensions(const struct frame *frame, struct packet *pkt)
{
	for (int i = 0; i < MG_EXT_MAX; i++) {
		__u32 at = recall(&pkt->l4_offset);
		struct ext_header *ext;

		if (!is_extension(pkt->proto) || (pkt->flags & PKT_LATER_FRAGMENT))
			return 0;
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
	}
	return is_extension(pkt->proto) || pkt->l4_offset >= FRAME_OFFSETS ? -MG_DROP_IP_OPTIONS
									   : 0;
}

static __always_inline int parse_walk(const struct frame *frame, struct packet *pkt)
{
	return pkt->family == 4 ? parse_options(frame, pkt) : parse_extensions(frame, pkt);
}

#endif
