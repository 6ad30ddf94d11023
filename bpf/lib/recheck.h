/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A known flow after a change (design, "Stamp"): while the change counter is the flow's and no
 * deadline is pending nothing else is read. Otherwise the sets in force and the ends' epochs are
 * compared with the stamp, and where they differ the flow is judged again in its original
 * direction, for the sides this node judged. Also: the way of a known flow without lookups.
 */
#ifndef MARGAY_LIB_RECHECK_H
#define MARGAY_LIB_RECHECK_H

#include "lib/endpoint.h"
#include "lib/epoch.h"
#include "lib/flow_state.h"
#include "lib/host.h"
#include "lib/icmp_types.h"
#include "lib/policy.h"
#include "lib/swap.h"

/* The packet as its connection's opener would have sent it, or back again. Policy speaks of an
 * ICMP question's type. */
static __always_inline void packet_turn(struct packet *pkt)
{
	SWAP(pkt->src, pkt->dst);
	SWAP(pkt->sport, pkt->dport);
	SWAP(pkt->from, pkt->to);
	SWAP(pkt->src_slot, pkt->dst_slot);
}

static __always_inline __u16 local_slot(const struct mg_ident *ident)
{
	__u16 want = MG_ADDR_POD | MG_ADDR_LOCAL;

	return (ident->flags & want) == want ? ident->slot : MG_SLOT_NONE;
}

/* Are one side's sets in force the ones that judged it? */
static __always_inline bool side_holds(const struct packet *pkt, const struct mg_flow *flow,
				       __u32 column, __u32 side)
{
	const struct mg_judged *judged = &flow->side[side].judged;
	__u32 slot = side_slot(pkt, side);

	if (!(flow->flags & (MG_FLOW_JUDGED_OUT << side)))
		return true;
	return set_in_force(slot, column, side_stage(side)) == judged->set &&
	       set_in_force(slot, column, side_staged_stage(side)) == judged->staged_set;
}

/* Does the stamp still hold? pkt is turned to the original direction and has its ends. */
static __always_inline bool stamp_holds(const struct packet *pkt, const struct mg_flow *flow,
					__u32 column)
{
	return flow->epoch == pkt->epoch && side_holds(pkt, flow, column, PKT_OUT) &&
	       side_holds(pkt, flow, column, PKT_IN);
}

static __always_inline int judge_host(struct packet *pkt, const struct mg_flow *flow, __u32 column)
{
	const struct mg_local *local = local_row();

	if (!local || !(flow->flags & MG_FLOW_JUDGED_HOST) || !host_wanted(local))
		return 0;
	pkt->column = column;
	return host_sides(pkt, HOST_ENTRY | HOST_EXIT | (flow_is_service(flow) ? HOST_AHEAD : 0));
}

static __always_inline int judge_flow(struct packet *pkt, struct mg_flow *flow, __u32 column)
{
	__u8 type = pkt->icmp_type;
	__u32 sides = 0;
	int r;

	if (flow->flags & MG_FLOW_JUDGED_OUT)
		sides |= PKT_JUDGE_OUT;
	if (flow->flags & MG_FLOW_JUDGED_IN)
		sides |= PKT_JUDGE_IN;
	if (pkt->flags & PKT_REVERSED)
		pkt->icmp_type = icmp_question(pkt->family, type);
	flow_sides_of(pkt, flow);
	r = judge(pkt, column, sides);
	if (!r)
		r = judge_host(pkt, flow, column);
	pkt->icmp_type = type;
	flow_fold(flow);
	if (r)
		return r;
	flow->epoch = pkt->epoch;
	flow_keep_side(flow, pkt, PKT_OUT);
	flow_keep_side(flow, pkt, PKT_IN);
	return 0;
}

static __always_inline int flow_check_stamp(struct packet *pkt, struct mg_flow *flow,
					    const struct mg_control *control, __u32 column)
{
	pkt->flow_flags = flow->flags;
	stamp_ends(pkt, control);
	pkt->src_slot = local_slot(&pkt->from);
	pkt->dst_slot = local_slot(&pkt->to);
	if (stamp_holds(pkt, flow, column))
		return 0;
	complete_ends(pkt);
	trace_step(MG_STEP_FLOW, pkt->flags & PKT_ESTABLISHED ? 2 : 1, flow->flags, 1);
	return judge_flow(pkt, flow, column);
}

/* Did another node carry the opener's packets here (check_carried())? Its number stands in the row
 * alone. pkt is turned to the original direction. */
__weak __noinline int flow_is_carried(struct packet *pkt, struct mg_flow *flow)
{
	pkt = packet_row(pkt);
	if (!pkt || !flow || !(flow->flags & MG_FLOW_FROM_TUNNEL) || flow->flags & FLOW_TRANSLATED)
		return false;
	ident_complete(&pkt->src, &pkt->from);
	return !pkt->from.node &&
	       !(pkt->from.flags & (MG_ADDR_POD | MG_ADDR_HOST | MG_ADDR_ANY_POOL));
}

/* Something changed since the flow's last check. Denied now: its rows go. */
__weak __noinline int flow_judge_again(struct packet *pkt, struct mg_flow *flow)
{
	struct mg_control *control = control_row();
	struct mg_commit *commit = control ? commit_row(control) : NULL;
	bool turned, carried;
	int r;

	pkt = packet_row(pkt);
	if (!commit || !pkt || !flow)
		return -MG_DROP_INTERNAL;
	turned = pkt->flags & PKT_REVERSED;
	if (turned)
		packet_turn(pkt);
	/* the column before the identities: open_ends() says why */
	r = flow_check_stamp(pkt, flow, control, commit_column(commit));
	carried = flow_is_carried(pkt, flow);
	if (turned)
		packet_turn(pkt);
	if (r) {
		flow_end(pkt, flow);
		return r;
	}
	flow->change = pkt->change;
	if (carried)
		return 0;
	/* of source translation it is the pod's slot, checked at delivery, or the world */
	if (!(flow->flags & FLOW_TRANSLATED) || flow_is_service(flow)) {
		flow->flags &= ~FLOW_WAYS;
		flow->way[0] = 0;
	}
	if (!(flow->flags & FLOW_TRANSLATED)) /* else it is a port */
		flow->way[1] = 0;
	return 0;
}

/* Nothing happened since the flow's last check. */
static __always_inline bool flow_unchanged(struct packet *pkt, const struct mg_flow *flow)
{
	struct mg_control *control = control_row();
	struct mg_commit *commit = control ? commit_row(control) : NULL;

	if (!commit)
		return false;
	pkt->change = READ_ONCE(control->change);
	return flow->change == pkt->change && !commit->deadline;
}

/* 0: the flow may go on. A negative reason: it was allowed and is denied now; its rows are gone.
 * pkt->src and dst are those of the stage that judges (of a translated flow: translated). */
static __always_inline int flow_recheck(struct packet *pkt, struct mg_flow *flow)
{
	return flow_unchanged(pkt, flow) ? 0 : flow_judge_again(pkt, flow);
}

static __always_inline void way_of_node(struct packet *pkt, const struct mg_flow *flow, __u16 node,
					const struct mg_local *local)
{
	pkt->to.node = node;
	if (node && node == local->node)
		pkt->to.flags = MG_ADDR_HOST | MG_ADDR_LOCAL;
	if (flow->flags & MG_FLOW_WAY_IPIP)
		pkt->to.flags |= MG_ADDR_IPIP;
	if (flow->flags & MG_FLOW_WAY_VXLAN)
		pkt->to.flags |= MG_ADDR_VXLAN;
	if (flow->flags & MG_FLOW_WAY_CROSS)
		pkt->to.flags |= MG_ADDR_CROSS;
}

/* Is it the row of answers to a client who asked this node for a service, from an uplink? */
static __always_inline bool flow_asked_here(const struct mg_flow *flow)
{
	return flow_is_service(flow) && flow->flags & MG_FLOW_REPLY &&
	       !(flow->flags & (MG_FLOW_JUDGED_OUT | MG_FLOW_FROM_TUNNEL));
}

/* The way is not in the row, or no longer true. */
__weak __noinline int flow_way_find(struct packet *pkt, struct mg_flow *flow, __u32 at)
{
	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return 0;
	ident_exact(&pkt->dst, &pkt->to);
	ident_complete(&pkt->dst, &pkt->to);
	if ((pkt->to.flags & (MG_ADDR_HOST | MG_ADDR_LOCAL)) == MG_ADDR_HOST &&
	    !flow_asked_here(flow)) {
		/* of another node: in the tunnel of the pod's own pool, as it came */
		ident_exact(&pkt->src, &pkt->from);
		pkt->to.flags |= pkt->from.flags & ADDR_MODES;
	}
	if (at)
		flow_keep_way(flow, &pkt->to, 1);
	else
		flow_keep_way(flow, &pkt->to, 0);
	return 0;
}

/* pkt->to for a packet of a known flow, as far as routes need it: from the row, or by lookup and
 * kept in the row. pkt->dst is where the packet goes (translated, if it is). */
static __always_inline void flow_way(struct packet *pkt, struct mg_flow *flow,
				     const struct mg_local *local)
{
	__u32 at = flow->flags & FLOW_TRANSLATED ? 0 : flow_direction(pkt, flow);
	__u16 way = at ? flow->way[1] : flow->way[0];

	__builtin_memset(&pkt->to, 0, sizeof(pkt->to));
	if (flow->flags & (MG_FLOW_WAY0_NODE << at)) {
		way_of_node(pkt, flow, way, local);
		return;
	}
	if (way) {
		struct mg_ep *ep = endpoint_by_slot(way);

		if (ep && endpoint_has(ep, &pkt->dst)) {
			pkt->to.slot = way;
			pkt->to.flags = MG_ADDR_POD | MG_ADDR_LOCAL;
			return;
		}
	}
	flow_way_find(pkt, flow, at);
}

#endif
