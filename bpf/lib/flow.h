/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow rows (abi/flow.h): find, create, end. A caller makes the key, finds, and on a miss
 * judges and creates; on a hit it asks flow_recheck() (recheck.h) and, as its last touch of the
 * row, flow_update() (flow_state.h), after which the pointer is void.
 */
#ifndef MARGAY_LIB_FLOW_H
#define MARGAY_LIB_FLOW_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"
#include "abi/node.h"
#include "lib/flow_end.h"
#include "lib/flow_key.h"
#include "lib/flow_row.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/row.h"
#include "lib/tick.h"
#include "lib/trace.h"
#include "maps/flow_e.h"
#include "maps/flow_t.h"

#define FLOW_FRESH ((__s32)TICKS_A_SECOND / 4) /* no row ends sooner after a packet */

static __always_inline __u32 flow_lifetime(const struct mg_local *local, __u8 proto, __u8 state)
{
	switch (proto) {
	case IPPROTO_TCP:
		if (state & MG_TCP_RST)
			return local->timeout[MG_TMO_TCP_RST];
		if ((state & MG_TCP_FIN0) && (state & MG_TCP_FIN1))
			return local->timeout[MG_TMO_TCP_FIN];
		if (state & MG_TCP_ESTABLISHED)
			return local->timeout[MG_TMO_TCP_ESTABLISHED];
		return local->timeout[MG_TMO_TCP_SYN];
	case IPPROTO_UDP:
		return local->timeout[MG_TMO_UDP];
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return local->timeout[MG_TMO_ICMP];
	}
	return local->timeout[MG_TMO_GENERIC];
}

/* Where the last packet was longer ago than any lifetime could be short. */
__weak __noinline int flow_outlived(struct packet *pkt, struct mg_flow *flow)
{
	const struct mg_local *local = local_row();

	if (!pkt || !flow || !local)
		return 0;
	return (__s32)(pkt->tick - flow->seen) >
	       (__s32)flow_lifetime(local, pkt->proto, flow->state);
}

/* A tick may be one that another CPU wrote after this packet began. */
static __always_inline bool flow_expired(struct packet *pkt, struct mg_flow *flow)
{
	return (__s32)(pkt->tick - flow->seen) > FLOW_FRESH && flow_outlived(pkt, flow);
}

__weak __noinline int flow_has_partner(struct packet *pkt, struct mg_flow *flow)
{
	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return 0;
	flow_key_partner(pkt, flow);
	return !!flow_partner(pkt);
}

/* Is the partner of a translated transient row still there? The LRU may have taken it. */
static __always_inline bool flow_whole(struct packet *pkt, struct mg_flow *flow)
{
	return !(flow->flags & FLOW_TRANSLATED) || (pkt->flags & PKT_ESTABLISHED) ||
	       flow_has_partner(pkt, flow);
}

/* Direction of a row's counters, FIN bits and ways that this packet goes: 0 or 1. */
static __always_inline __u32 flow_direction(const struct packet *pkt, const struct mg_flow *flow)
{
	if (flow->flags & FLOW_TRANSLATED)
		return !!(flow->flags & MG_FLOW_REPLY);
	return !!(pkt->flags & PKT_SWAPPED);
}

static __always_inline void flow_orient(struct packet *pkt, const struct mg_flow *flow)
{
	bool from_b = flow->flags & MG_FLOW_FROM_B, swapped = pkt->flags & PKT_SWAPPED;

	if (flow->flags & FLOW_TRANSLATED ? flow->flags & MG_FLOW_REPLY : from_b != swapped)
		pkt->flags |= PKT_REVERSED;
}

static __always_inline bool is_opening(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline bool flow_closed(const struct mg_flow *flow)
{
	return (flow->state & MG_TCP_RST) ||
	       ((flow->state & MG_TCP_FIN0) && (flow->state & MG_TCP_FIN1));
}

/* The live row of pkt->key, or NULL; PKT_ESTABLISHED, PKT_REVERSED. A row that is dead, cut in
 * half, or closed and then hit by a SYN, ends here. A SYN against the opener's direction is a
 * miss as well, for nobody has judged that direction (PKT_FLOW_ANEW): the row stays until the
 * new connection is allowed. */
static __always_inline struct mg_flow *flow_find(struct packet *pkt)
{
	struct mg_flow *flow = flow_row(pkt);

	packet_forget();
	if (!flow)
		goto miss;
	if ((flow->flags & FLOW_TRANSLATED) &&
	    !(flow->flags & MG_FLOW_FROM_B) != !(pkt->flags & PKT_SWAPPED)) {
		pkt->flags |= PKT_KEY_TAKEN;
		goto miss;
	}
	flow_orient(pkt, flow);
	packet_forget();
	if (flow_expired(pkt, flow) || !flow_whole(pkt, flow) ||
	    (is_opening(pkt) && flow_closed(flow))) {
		flow_end(pkt, flow);
		goto miss;
	}
	if (is_opening(pkt) && (pkt->flags & PKT_REVERSED)) {
		pkt->flags |= PKT_FLOW_ANEW;
		goto miss;
	}
	trace_step(MG_STEP_FLOW, pkt->flags & PKT_ESTABLISHED ? 2 : 1, flow->flags, 0);
	return flow;
miss:
	pkt->flags &= ~(PKT_ESTABLISHED | PKT_REVERSED);
	trace_step(MG_STEP_FLOW, 0, 0, 0);
	return NULL;
}

#endif
