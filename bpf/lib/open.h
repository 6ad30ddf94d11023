/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet without a row: what its ends are, and whether policy lets it open a flow. The caller
 * then makes the row, flow_create() or a translated pair.
 */
#ifndef MARGAY_LIB_OPEN_H
#define MARGAY_LIB_OPEN_H

#include "lib/recheck.h"

/* Step: the commit in force, then pkt->from, pkt->to, and the stamp of a judgement that follows.
 * In this order: where new rules tell addresses apart, the old sets first get rows for the new
 * identities, then addresses move, then comes the commit. An identity read after the column
 * is one that the column's sets know as it is meant; the other way round an address that has
 * moved meanwhile would be judged by new rules as what it was before. */
__weak __noinline int open_ends(struct packet *pkt)
{
	struct mg_control *control = control_row();
	struct mg_commit *commit;

	pkt = packet_row(pkt);
	if (!control || !pkt)
		return -MG_DROP_INTERNAL;
	pkt->change = READ_ONCE(control->change);
	commit = commit_row(control);
	if (!commit)
		return -MG_DROP_INTERNAL;
	pkt->column = commit_column(commit);
	barrier();
	stamp_ends(pkt, control);
	complete_ends(pkt);
	return 0;
}

static __always_inline void turn_judged(struct packet *pkt)
{
	__u16 flags = pkt->flow_flags & ~(MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN);

	if (pkt->flow_flags & MG_FLOW_JUDGED_OUT)
		flags |= MG_FLOW_JUDGED_IN;
	if (pkt->flow_flags & MG_FLOW_JUDGED_IN)
		flags |= MG_FLOW_JUDGED_OUT;
	pkt->flow_flags = flags;
}

/* A segment in midstream that policy does not allow as an opening one: as an answer? */
static __always_inline int judge_turned(struct packet *pkt, __u32 column, __u32 sides)
{
	__u32 turned = 0;
	int r;

	if (sides & PKT_JUDGE_OUT)
		turned |= PKT_JUDGE_IN;
	if (sides & PKT_JUDGE_IN)
		turned |= PKT_JUDGE_OUT;
	__builtin_memset(pkt->judged, 0, sizeof(pkt->judged));
	pkt->logs = 0;
	packet_turn(pkt);
	r = judge(pkt, column, turned);
	packet_turn(pkt);
	if (r)
		return -MG_DROP_NO_FLOW;
	turn_judged(pkt);
	pkt->flags |= PKT_REVERSED;
	return 0;
}

/* Step, after open_ends() and with the slots set: judges the sides (PKT_JUDGE_*), which the row
 * will remember by MG_FLOW_JUDGED_* in pkt->flow_flags. */
__weak __noinline int open_judge(struct packet *pkt, __u32 sides)
{
	int r;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (sides & PKT_JUDGE_OUT)
		pkt->flow_flags |= MG_FLOW_JUDGED_OUT;
	if (sides & PKT_JUDGE_IN)
		pkt->flow_flags |= MG_FLOW_JUDGED_IN;
	r = judge(pkt, pkt->column, sides);
	if (r && (pkt->flags & PKT_MIDSTREAM))
		r = judge_turned(pkt, pkt->column, sides);
	count_judgement(pkt, !!r);
	return r;
}

static __always_inline void turn_sides(struct packet *pkt)
{
	packet_turn(pkt);
	SWAP(pkt->side[PKT_OUT], pkt->side[PKT_IN]);
}

/* Host endpoints judge a flow that a pod takes part in. */
__weak __noinline int open_sides(struct packet *pkt)
{
	__u32 ahead;
	int r;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	ahead = pkt->flags & PKT_REWRITE_DST ? HOST_AHEAD : 0;
	if (!(pkt->flags & PKT_REVERSED))
		return host_sides(pkt, HOST_ENTRY | HOST_EXIT | HOST_COUNT | ahead);
	turn_sides(pkt);
	r = host_sides(pkt, HOST_ENTRY | HOST_EXIT | HOST_COUNT);
	packet_turn(pkt);
	return r;
}

/* Step, after open_judge() and with pkt->side set. */
static __always_inline int open_host_sides(struct packet *pkt, const struct mg_local *local)
{
	pkt->flow_flags |= MG_FLOW_JUDGED_HOST;
	return host_wanted(local) ? open_sides(pkt) : 0;
}

/* Step: all of it for an untranslated flow to a pod. */
static __always_inline int open_flow(struct packet *pkt, const struct mg_local *local, __u32 sides)
{
	int r = flow_admit(pkt, local);

	if (!r)
		r = open_judge(pkt, sides);
	if (!r)
		r = open_host_sides(pkt, local);
	return r ? r : flow_create(pkt);
}

/* Connections of the node itself outlive whatever made no row of them (they were there before the
 * host endpoint, or their row was evicted): one in midstream goes on where policy would let it be
 * opened from either end. What is no socket's the stack refuses. */
static __always_inline void host_admit(struct packet *pkt)
{
	pkt->tcp_state = 0;
	if (pkt->proto != IPPROTO_TCP)
		return;
	pkt->tcp_state = MG_TCP_SYN;
	if (is_opening(pkt))
		return;
	pkt->tcp_state = MG_TCP_ESTABLISHED | MG_TCP_MIDSTREAM;
	pkt->flags |= PKT_MIDSTREAM;
}

/* What no row can be of: its key is another's, or nothing follows it. */
static __always_inline bool host_rowless(const struct packet *pkt)
{
	return pkt->flags & (PKT_KEY_TAKEN | PKT_ICMP_ERROR | PKT_MULTICAST) ||
	       (pkt->proto == IPPROTO_TCP && pkt->tcp_flags & TCP_RST);
}

/* Step for a flow in which no pod of this node takes part, after open_ends() and with pkt->side
 * set. Verified once. */
__weak __noinline int open_host(struct packet *pkt)
{
	int r;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	host_admit(pkt);
	pkt->flow_flags = MG_FLOW_JUDGED_HOST;
	r = host_sides(pkt, HOST_ENTRY | HOST_EXIT | HOST_COUNT);
	if (r && pkt->flags & PKT_MIDSTREAM) {
		int turned;

		turn_sides(pkt);
		pkt->logs = 0;
		turned = host_sides(pkt, HOST_ENTRY | HOST_EXIT | HOST_COUNT);
		packet_turn(pkt);
		if (!turned) {
			pkt->flags |= PKT_REVERSED;
			r = 0;
		}
	}
	if (r)
		return r;
	return host_rowless(pkt) ? 0 : flow_create(pkt);
}

/* Step: untracked policies (doNotTrack) of the endpoint at this device, before anything is looked
 * up. What one allows no other stage judges and no row remembers: pkt->host goes. Verified once. */
__weak __noinline int host_untracked(struct packet *pkt, __u32 stage)
{
	struct mg_control *control = control_row();
	struct mg_commit *commit = control ? commit_row(control) : NULL;

	pkt = packet_row(pkt);
	if (!pkt || !commit)
		return -MG_DROP_INTERNAL;
	pkt->column = commit_column(commit);
	if (set_in_force(pkt->host, pkt->column, stage) == MG_SET_NONE)
		return 0;
	barrier();
	ident_exact(&pkt->src, &pkt->from);
	ident_exact(&pkt->dst, &pkt->to);
	complete_ends(pkt);
	if (host_failsafe(pkt, stage == MG_STAGE_UNTRACKED_OUT))
		return 0;
	switch (host_stage(pkt, pkt->host, stage, 0)) {
	case HOST_DENIES:
		return stage == MG_STAGE_UNTRACKED_OUT ? -MG_DROP_HOST_EGRESS
						       : -MG_DROP_HOST_INGRESS;
	case HOST_ALLOWS:
		pkt->host = 0;
		pkt->side[PKT_OUT] = 0;
		return 0;
	case HOST_GOES_ON:
		return 0;
	}
	return 0;
}

#endif
