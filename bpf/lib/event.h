/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records for whoever listens (abi/event.h). Reserving never blocks. Of drops each CPU tells
 * EVENT_DROPS in a window and hook, so that a flood costs a counter and no more; what was not
 * told, for that or because the buffer was full, is counted under reason "none".
 */
#ifndef MARGAY_LIB_EVENT_H
#define MARGAY_LIB_EVENT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/packet.h"
#include "maps/drops.h"
#include "maps/events.h"

#define EVENT_WINDOW_SHIFT 7 /* of ticks: 134 ms */
#define EVENT_DROPS 128

static __always_inline void count_drop(const struct packet *pkt, __u32 reason)
{
	__u32 index = pkt->hook * MG_DROP_SLOTS + reason;
	struct mg_drop_count *count = bpf_map_lookup_elem(&mg_drops, &index);

	if (count) {
		count->packets++;
		count->bytes += pkt->length;
	}
}

static __always_inline bool event_allowed(struct packet *pkt)
{
	__u32 window = pkt->tick >> EVENT_WINDOW_SHIFT;

	if (pkt->event_window != window) {
		pkt->event_window = window;
		pkt->event_count = 0;
	}
	return pkt->event_count++ < EVENT_DROPS;
}

static __always_inline void event_fill(struct mg_event *event, const struct packet *pkt)
{
	event->time = bpf_ktime_get_boot_ns();
	event->ifindex = pkt->ifindex;
	event->length = pkt->length;
	for (__u32 i = 0; i < MG_LOG_RULES; i++)
		event->log_rule[i] = i < pkt->logs ? pkt->log_rule[i] : MG_RULE_NONE;
	event->judged[PKT_OUT] = pkt->judged[PKT_OUT];
	event->judged[PKT_IN] = pkt->judged[PKT_IN];
	event->identity[0] = pkt->from.identity;
	event->identity[1] = pkt->to.identity;
	event->slot[0] = pkt->src_slot;
	event->slot[1] = pkt->dst_slot;
	event->hook = pkt->hook;
	event->l3_offset = pkt->flags & PKT_NO_L2 ? 0 : 14;
	event->family = pkt->family;
	event->proto = pkt->proto;
	__builtin_memset(event->pad, 0, sizeof(event->pad));
	if (pkt->family) {
		event->src = pkt->src;
		event->dst = pkt->dst;
		event->sport = pkt->sport;
		event->dport = pkt->dport;
	} else {
		__builtin_memset(&event->src, 0, 36);
	}
}

static __always_inline void event_send(struct __sk_buff *skb, struct packet *pkt, __u8 kind,
				       __u8 reason)
{
	struct mg_event *event = bpf_ringbuf_reserve(&mg_events, sizeof(*event), 0);
	__u64 last;

	if (!event) {
		count_drop(pkt, MG_DROP_NONE);
		return;
	}
	event_fill(event, pkt);
	event->kind = kind;
	event->reason = reason;
	last = (skb->len < MG_EVENT_BYTES ? skb->len : MG_EVENT_BYTES) - 1;
	/* Before 6.8 the verifier learns nothing from a test against 0; this it understands.
	 * A length of 0 becomes all, which is then refused. */
	asm volatile("" : "+r"(last));
	last &= MG_EVENT_BYTES - 1;
	event->captured = bpf_skb_load_bytes(skb, 0, event->data, last + 1) ? 0 : last + 1;
	bpf_ringbuf_submit(event, 0);
}

/* True: told, or at least tried. */
static __always_inline bool event_drop(struct __sk_buff *skb, struct packet *pkt, __u32 reason)
{
	if (!event_allowed(pkt)) {
		count_drop(pkt, MG_DROP_NONE);
		return false;
	}
	event_send(skb, pkt, MG_EVENT_DROP, reason);
	return true;
}

#endif
