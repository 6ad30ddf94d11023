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

/* Step: all of it for an untranslated flow. */
static __always_inline int open_flow(struct packet *pkt, const struct mg_local *local, __u32 sides)
{
	int r = flow_admit(pkt, local);

	if (!r)
		r = open_judge(pkt, sides);
	return r ? r : flow_create(pkt);
}

#endif
