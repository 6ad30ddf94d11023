/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Log rules see. A judgement notes the Log rules that it passed on its way to the rule that
 * decides; when it is clear what becomes of the packet they count it (a connection, or a packet
 * of what has none) and a record tells of it. Each CPU and hook tells LOG_RECORDS of a rule in a
 * window; the rule's connections less its records are what was left out.
 */
#ifndef MARGAY_LIB_LOG_H
#define MARGAY_LIB_LOG_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/event.h"
#include "lib/packet.h"
#include "lib/rule_count.h"

#define LOG_RECORDS 8 /* in EVENT_WINDOW_SHIFT's window: 60 a second */

static __always_inline void log_note(struct packet *pkt, __u32 rule)
{
	__u32 at = pkt->logs;

	if (rule == MG_RULE_NONE || at >= MG_LOG_RULES)
		return;
	pkt->log_rule[at] = rule;
	pkt->logs = at + 1;
}

static __always_inline bool log_allowed(struct packet *pkt, __u32 rule)
{
	__u32 window = pkt->tick >> EVENT_WINDOW_SHIFT, place = rule % PKT_LOG_PLACES;

	if (pkt->log_window != window) {
		pkt->log_window = window;
		__builtin_memset(pkt->log_told, 0, sizeof(pkt->log_told));
	}
	if (pkt->log_told[place] >= LOG_RECORDS)
		return false;
	pkt->log_told[place]++;
	return true;
}

/* reason: why the packet goes no further, or none. Nothing is left noted. Verified once. */
__weak __noinline int log_tell(struct __sk_buff *skb, struct packet *pkt, int reason)
{
	bool tell = false;

	if (!pkt)
		return 0;
	for (__u32 i = 0; i < MG_LOG_RULES && i < pkt->logs; i++) {
		rule_count(pkt->log_rule[i], 1, 1, pkt->l3_length);
		if (log_allowed(pkt, pkt->log_rule[i]))
			tell = true;
	}
	if (tell)
		event_send(skb, pkt, MG_EVENT_LOG, reason);
	pkt->logs = 0;
	return 0;
}

#endif
