/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The two sides of a flow's row (union mg_side): what judged a pod's, or where the flow comes in or
 * leaves; from the packet, back into it, and to the rules' counters.
 */
#ifndef MARGAY_LIB_FLOW_SIDE_H
#define MARGAY_LIB_FLOW_SIDE_H

#include "abi/flow.h"
#include "lib/packet.h"
#include "lib/rule_count.h"

/* What judged one side, or where it is. */
static __always_inline void flow_keep_side(struct mg_flow *row, const struct packet *pkt,
					   __u32 side)
{
	if (row->flags & (MG_FLOW_JUDGED_OUT << side)) {
		row->side[side].judged = pkt->judged[side];
		return;
	}
	row->side[side].place.rule = pkt->judged[side].rule;
	row->side[side].place.at = pkt->side[side];
}

static __always_inline void flow_fold_side(const struct mg_flow *flow, __u32 side, __u64 packets,
					   __u64 bytes)
{
	if (flow->flags & (MG_FLOW_JUDGED_OUT << side))
		judged_count(&flow->side[side].judged, 0, packets, bytes);
	else
		rule_count(flow->side[side].place.rule, 0, packets, bytes);
}

/* What a row keeps of one side, back into the packet. */
static __always_inline void flow_side_of(struct packet *pkt, const struct mg_flow *flow, __u32 side)
{
	if (flow->flags & (MG_FLOW_JUDGED_OUT << side)) {
		pkt->judged[side] = flow->side[side].judged;
		pkt->side[side] = 0;
		return;
	}
	pkt->judged[side].rule = flow->side[side].place.rule;
	pkt->side[side] = flow->side[side].place.at;
}

static __always_inline void flow_sides_of(struct packet *pkt, const struct mg_flow *flow)
{
	flow_side_of(pkt, flow, PKT_OUT);
	flow_side_of(pkt, flow, PKT_IN);
}

#endif
