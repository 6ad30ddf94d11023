/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The classification engine's reader (abi/policy.h): set -> class by the peer's identity,
 * class -> verdict by protocol and port. The same number of array reads for one rule and for
 * ten thousand. Whatever is missing denies.
 */
#ifndef MARGAY_LIB_POLICY_H
#define MARGAY_LIB_POLICY_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"
#include "lib/addr.h"
#include "lib/epoch.h"
#include "lib/log.h"
#include "lib/packet.h"
#include "lib/trace.h"
#include "maps/classes.h"
#include "maps/pages.h"
#include "maps/sets.h"
#include "maps/slots.h"
#include "maps/verdicts.h"

static __always_inline __u32 page_get(__u32 page, __u32 entry)
{
	__u32 number = page / MG_CHUNK_PAGES, element = page % MG_CHUNK_PAGES;
	void *chunk = bpf_map_lookup_elem(&mg_pages, &number);
	struct mg_page *row;

	if (!chunk)
		return 0;
	row = bpf_map_lookup_elem(chunk, &element);
	return row ? row->v[entry & (MG_PAGE_ENTRIES - 1)] : 0;
}

/* Verified once; every use would add its branches to all the others'. */
__weak __noinline __u32 table_get(__u32 root, __u32 key)
{
	__u32 leaf;

	if (!root)
		return 0;
	leaf = page_get(root, key >> 8);
	return leaf ? page_get(leaf, key) : 0;
}

/* Which of a class's tables speaks of this packet, MG_L4_MAX: none; and by which key. */
static __always_inline __u32 class_table(const struct packet *pkt, __u32 *ret_key)
{
	*ret_key = bpf_ntohs(pkt->dport);
	switch (pkt->proto) {
	case IPPROTO_TCP:
		return MG_L4_TCP;
	case IPPROTO_UDP:
		return MG_L4_UDP;
	case IPPROTO_SCTP:
		return MG_L4_SCTP;
	case IPPROTO_ICMP:
		*ret_key = pkt->icmp_type << 8 | pkt->icmp_code;
		return MG_L4_ICMP;
	case IPPROTO_ICMPV6:
		*ret_key = pkt->icmp_type << 8 | pkt->icmp_code;
		return MG_L4_ICMP6;
	}
	return MG_L4_MAX;
}

static __always_inline struct mg_class *class_row(__u32 number)
{
	return bpf_map_lookup_elem(&mg_classes, &number);
}

static __always_inline __u32 verdict_other(const struct mg_class *class, __u8 proto)
{
	__u32 found;

	for (int i = 0; i < MG_CLASS_OTHERS; i++)
		if (class->other_proto[i] && class->other_proto[i] == proto)
			return class->other_verdict[i];
	found = table_get(class->proto_table, proto);
	return found ? found - 1 : class->verdict;
}

/* The verdict's number for this packet, by the far end's identity and, << 16, the near end's, which
 * matters to sets of host endpoints alone. Verified once. */
__weak __noinline __u32 classify(struct packet *pkt, __u32 set, __u32 identities)
{
	struct mg_set *row = bpf_map_lookup_elem(&mg_sets, &set);
	struct mg_class *class;
	__u32 root, table, key, found;

	if (!row || !pkt)
		return MG_VERDICT_DROP;
	root = row->table;
	if (row->flags & MG_SET_BOTH_ENDS)
		root = table_get(root, identities >> 16);
	class = class_row(table_get(root, identities & 0xffff));
	if (!class)
		return MG_VERDICT_DROP;
	if (class->sport) {
		class = class_row(table_get(class->sport, bpf_ntohs(pkt->sport)));
		if (!class)
			return MG_VERDICT_DROP;
	}
	table = class_table(pkt, &key);
	if (table >= MG_L4_MAX)
		return verdict_other(class, pkt->proto);
	found = table_get(class->l4[table], key);
	return found ? found - 1 : class->verdict;
}

static __always_inline __u32 set_in_force(__u32 slot, __u32 column, __u32 stage)
{
	struct mg_slot *row;

	if (!slot || stage >= MG_STAGE_MAX)
		return MG_SET_NONE;
	row = bpf_map_lookup_elem(&mg_slots, &slot);
	return row ? row->set[column & (MG_COLUMNS - 1)][stage] : MG_SET_NONE;
}

/* Writes down the deciding rule; is the verdict an allowance? */
static __always_inline bool verdict_allows(struct packet *pkt, __u32 side)
{
	__u32 number = pkt->verdict[side];
	struct mg_verdict *verdict;

	pkt->judged[side].rule = MG_RULE_NONE;
	if (number < MG_VERDICT_FIRST)
		return number == MG_VERDICT_ALLOW;
	verdict = bpf_map_lookup_elem(&mg_verdicts, &number);
	if (!verdict)
		return false;
	pkt->judged[side].rule = verdict->rule;
	log_note(pkt, verdict->log_rule);
	return verdict->action == MG_ACTION_ALLOW;
}

/* Is an unknown owner why this side's verdict denies? Unless an address of no rule's net would have
 * got another: then the rule that names the net has decided. */
static __always_inline bool unknown_denied(struct packet *pkt, __u32 side)
{
	const struct mg_ident *peer = side == PKT_OUT ? &pkt->to : &pkt->from;
	__u32 set = pkt->judged[side].set;

	if (!ident_unknown(peer))
		return false;
	if (set < MG_SET_FIRST || peer->identity == MG_IDENT_UNKNOWN4 ||
	    peer->identity == MG_IDENT_UNKNOWN6)
		return true;
	return pkt->verdict[side] ==
	       classify(pkt, set, pkt->family == 4 ? MG_IDENT_UNKNOWN4 : MG_IDENT_UNKNOWN6);
}

/* The verdict's number of one side by a set. */
static __always_inline __u32 side_verdict(struct packet *pkt, __u32 set, __u32 side)
{
	if (set == MG_SET_ALLOW_ALL)
		return MG_VERDICT_ALLOW;
	if (set < MG_SET_FIRST)
		return MG_VERDICT_DROP;
	return classify(pkt, set, side == PKT_OUT ? pkt->to.identity : pkt->from.identity);
}

static __always_inline __u32 side_slot(const struct packet *pkt, __u32 side)
{
	return side == PKT_OUT ? pkt->src_slot : pkt->dst_slot;
}

static __always_inline __u32 side_stage(__u32 side)
{
	return side == PKT_OUT ? MG_STAGE_WORKLOAD_OUT : MG_STAGE_WORKLOAD_IN;
}

static __always_inline __u32 side_staged_stage(__u32 side)
{
	return side == PKT_OUT ? MG_STAGE_STAGED_OUT : MG_STAGE_STAGED_IN;
}

/* One side of a judgement: 0, or the reason of the denial. An endpoint without a set in force is
 * not ready, whatever its row says. What is found out goes into the packet and is read back from
 * there, which spares stack. */
static __always_inline int judge_side(struct packet *pkt, __u32 column, __u32 side)
{
	struct mg_judged *judged = &pkt->judged[side];
	bool allowed;

	judged->set = set_in_force(side_slot(pkt, side), column, side_stage(side));
	packet_forget();
	judged->staged_set = set_in_force(side_slot(pkt, side), column, side_staged_stage(side));
	judged->staged_rule = MG_RULE_NONE;
	packet_forget();
	if (judged->set == MG_SET_NONE)
		return -MG_DROP_NOT_READY;
	pkt->verdict[side] = side_verdict(pkt, judged->set, side);
	packet_forget();
	allowed = verdict_allows(pkt, side);
	trace_step(side == PKT_OUT ? MG_STEP_EGRESS : MG_STEP_INGRESS, judged->set,
		   pkt->verdict[side], judged->rule);
	if (allowed)
		return 0;
	if (unknown_denied(pkt, side))
		return -MG_DROP_UNKNOWN_PEER;
	return side == PKT_OUT ? -MG_DROP_POLICY_EGRESS : -MG_DROP_POLICY_INGRESS;
}

/* What a verdict of the staged set says, for the flow's row. */
static __always_inline __u32 staged_rule(__u32 number, __u32 *ret_rule)
{
	struct mg_verdict *verdict = NULL;

	*ret_rule = MG_RULE_NONE;
	if (number >= MG_VERDICT_FIRST)
		verdict = bpf_map_lookup_elem(&mg_verdicts, &number);
	if (!verdict)
		return number == MG_VERDICT_ALLOW ? MG_RULE_NONE : MG_RULE_DENIED;
	*ret_rule = verdict->rule;
	if (verdict->staged)
		return verdict->rule;
	return verdict->action == MG_ACTION_ALLOW ? MG_RULE_NONE : MG_RULE_DENIED;
}

/* One side as if staged policies were in force. Where nothing staged concerns it nothing is to be
 * said, but for the receiver of what the sender's policy in force did not let out. */
static __always_inline void judge_staged_side(struct packet *pkt, __u32 column, __u32 side)
{
	__u32 slot = side_slot(pkt, side), number, rule;
	__u32 set = set_in_force(slot, column, side_staged_stage(side));

	if (set == MG_SET_NONE && !pkt->judged[side].set)
		set = set_in_force(slot, column, side_stage(side));
	if (set == MG_SET_NONE)
		return;
	number = side_verdict(pkt, set, side);
	pkt->judged[side].staged_set = set;
	pkt->judged[side].staged_rule = staged_rule(number, &rule);
	trace_step(side == PKT_OUT ? MG_STEP_STAGED_EGRESS : MG_STEP_STAGED_INGRESS, set, number,
		   rule);
}

/* Policies that are staged decide nothing: what they would say stands beside what was decided, of
 * both sides, whatever the sender's policy said. */
__weak __noinline int judge_staged(struct packet *pkt, __u32 column, __u32 sides)
{
	if (!pkt)
		return 0;
	if (sides & PKT_JUDGE_OUT)
		judge_staged_side(pkt, column, PKT_OUT);
	packet_forget();
	if (sides & PKT_JUDGE_IN)
		judge_staged_side(pkt, column, PKT_IN);
	return 0;
}

/* Judges the sides asked for (PKT_JUDGE_*) with pkt->from and pkt->to complete and slots set.
 * A pod reaches itself. No loop: its counter and all that follows from it would stand on the stack.
 */
__weak __noinline int judge(struct packet *pkt, __u32 column, __u32 sides)
{
	int r = 0;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (sides == (PKT_JUDGE_OUT | PKT_JUDGE_IN) && pkt->src_slot == pkt->dst_slot)
		return 0;
	if (sides & PKT_JUDGE_OUT)
		r = judge_side(pkt, column, PKT_OUT);
	packet_forget();
	if (!r && sides & PKT_JUDGE_IN)
		r = judge_side(pkt, column, PKT_IN);
	if (pkt->judged[PKT_OUT].staged_set || pkt->judged[PKT_IN].staged_set)
		judge_staged(pkt, column, sides);
	return r;
}

#endif
