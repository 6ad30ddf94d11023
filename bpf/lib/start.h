/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Begin of every TC program: the scratch row of its hook, made ready for one packet.
 */
#ifndef MARGAY_LIB_START_H
#define MARGAY_LIB_START_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/packet.h"
#include "lib/tick.h"
#include "lib/trace.h"
#include "maps/scratch.h"

/* NULL never happens (the index is below max_entries); the verifier cannot know. */
static __always_inline struct packet *packet_start(struct __sk_buff *skb, __u32 hook)
{
	struct packet *pkt = bpf_map_lookup_elem(&mg_scratch, &hook);

	if (!pkt)
		return NULL;
	pkt->ifindex = skb->ifindex;
	pkt->length = skb->len;
	pkt->segments = skb->gso_segs ?: 1;
	tick_now(pkt);
	pkt->flags = 0;
	pkt->l3_offset = 0;
	pkt->family = 0;
	pkt->proto = 0;
	pkt->hook = hook;
	pkt->encap = MG_ENCAP_NONE;
	pkt->tcp_state = 0;
	pkt->outer_length = 0;
	__builtin_memset(&pkt->from, 0, sizeof(pkt->from));
	__builtin_memset(&pkt->to, 0, sizeof(pkt->to));
	pkt->src_slot = 0;
	pkt->dst_slot = 0;
	pkt->ep_flags = 0;
	pkt->host = 0;
	__builtin_memset(pkt->side, 0, sizeof(pkt->side));
	__builtin_memset(pkt->judged, 0, sizeof(pkt->judged));
	__builtin_memset(pkt->verdict, 0, sizeof(pkt->verdict));
	pkt->logs = 0;
	pkt->flow_flags = 0;
	pkt->out_ifindex = 0;
	pkt->out_node = 0;
	pkt->in_node = 0;
	pkt->out_mtu = 0;
	pkt->next_hop.d[0] = 0;
	pkt->next_hop.d[1] = 0;
	trace_step(MG_STEP_ENTRY, hook, skb->ifindex, 0);
	return pkt;
}

#endif
