/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Host endpoints: policy of the node itself and of what passes through it, by the interface at
 * which a packet comes (entry) or leaves (exit).
 *
 * A connection of the node's own sockets is judged by the normal policies of the one interface it
 * uses, one that is passed on by the forward policies of both. pkt->side says where its two ends
 * are, in the opener's direction (abi/flow.h: MG_SIDE_*); of an end that is a pod of this node the
 * interface is the pod's, where the endpoint for all interfaces judges. Failsafe ports come before
 * everything, preDNAT policies before the others at the entry: what one of those allows has passed
 * all of them (Calico's order: host endpoint policy, "Pre-DNAT policy").
 */
#ifndef MARGAY_LIB_HOST_H
#define MARGAY_LIB_HOST_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/failsafe.h"
#include "lib/icmp_types.h"
#include "lib/log.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/policy.h"
#include "lib/row.h"
#include "lib/rule_count.h"
#include "lib/trace.h"
#include "maps/failsafe.h"

/* host_sides(): which sides, and whether rules count a connection */
#define HOST_ENTRY (1U << 0)
#define HOST_EXIT (1U << 1)
#define HOST_COUNT (1U << 2)
#define HOST_AHEAD                                                                                 \
	(1U << 3) /* the destination is the backend; before translation it is xlat:xport */

enum host_answer {
	HOST_GOES_ON, /* no policy, or no rule of one decides */
	HOST_ALLOWS,
	HOST_DENIES,
};

static __always_inline bool stage_is_in(__u32 stage)
{
	return stage == MG_STAGE_UNTRACKED_IN || stage == MG_STAGE_PREDNAT ||
	       stage == MG_STAGE_FORWARD_IN || stage == MG_STAGE_NORMAL_IN;
}

/* The verdict's number; near and far end are addresses' identities. */
static __always_inline __u32 host_verdict(struct packet *pkt, __u32 set, __u32 stage)
{
	if (set == MG_SET_ALLOW_ALL)
		return MG_VERDICT_ALLOW;
	if (set == MG_SET_DROP_ALL)
		return MG_VERDICT_DROP;
	return stage_is_in(stage) ? classify(pkt, set, pkt->to.identity << 16 | pkt->from.identity)
				  : classify(pkt, set, pkt->from.identity << 16 | pkt->to.identity);
}

/* Counts of a rule, and which one a flow's packets are counted for. At a pod's side, where the row
 * has the pod's own, it stands where the verdict of staged policies does, unless there is one. */
static __always_inline void host_count(struct packet *pkt, __u32 stage, __u32 rule, bool denied,
				       __u32 how)
{
	__u32 side = stage_is_in(stage) ? PKT_OUT : PKT_IN;

	if (!(pkt->flow_flags & (MG_FLOW_JUDGED_OUT << side)))
		pkt->judged[side].rule = rule;
	else if (!pkt->judged[side].staged_set)
		pkt->judged[side].staged_rule = rule;
	if (stage <= MG_STAGE_UNTRACKED_OUT) /* no flow keeps counts */
		rule_count(rule, 0, 1, pkt->l3_length);
	else if (how & HOST_COUNT)
		rule_count(rule, 1, denied, denied ? pkt->l3_length : 0);
}

static __always_inline enum host_answer host_stage(struct packet *pkt, __u32 slot, __u32 stage,
						   __u32 how)
{
	__u32 set = set_in_force(slot, pkt->column, stage), number, rule = MG_RULE_NONE;
	struct mg_verdict *verdict = NULL;
	bool allowed;

	if (set == MG_SET_NONE)
		return HOST_GOES_ON;
	number = host_verdict(pkt, set, stage);
	allowed = number == MG_VERDICT_ALLOW;
	if (number >= MG_VERDICT_FIRST)
		verdict = bpf_map_lookup_elem(&mg_verdicts, &number);
	if (verdict) {
		allowed = verdict->action == MG_ACTION_ALLOW;
		rule = verdict->rule;
		log_note(pkt, verdict->log_rule);
	}
	trace_step(MG_STEP_HOST, stage << 16 | slot, number, rule);
	host_count(pkt, stage, rule, !allowed, how);
	if (!allowed)
		return HOST_DENIES;
	return rule ? HOST_ALLOWS : HOST_GOES_ON;
}

/* What a link does not work without: neighbour and router discovery, group membership (RFC 4890
 * section 4.4). */
static __always_inline bool host_is_control(const struct packet *pkt)
{
	if (pkt->proto == IPPROTO_IGMP)
		return true;
	return pkt->proto == IPPROTO_ICMPV6 &&
	       ((pkt->icmp_type >= ICMP6_MLD_QUERY && pkt->icmp_type <= ICMP6_ADVERT) ||
		pkt->icmp_type == ICMP6_MLD2_REPORT);
}

/* Of the node's own connections. */
static __always_inline bool host_failsafe(struct packet *pkt, __u8 direction)
{
	struct mg_failsafe_key key = { .len = MG_FAILSAFE_BITS + MG_ADDR_BITS,
				       .direction = direction,
				       .proto = pkt->proto,
				       .port = pkt->dport };

	if (host_is_control(pkt))
		return true;
	key.addr = direction == MG_FAILSAFE_IN ? pkt->src : pkt->dst;
	if (!bpf_map_lookup_elem(&mg_failsafe, &key))
		return false;
	trace_step(MG_STEP_FAILSAFE, bpf_ntohs(pkt->dport), pkt->proto, direction);
	return true;
}

/* The endpoint that judges at a side of the flow which is no pod; 0: none does. */
static __always_inline __u32 host_slot(__u32 side, const struct mg_local *local)
{
	const struct mg_uplink *uplink;

	if (!side || side == MG_SIDE_OWN)
		return 0;
	if (side == MG_SIDE_TUNNEL)
		return local->host_any;
	uplink = uplink_row(side);
	return uplink ? uplink->host : 0;
}

static __always_inline bool host_is_end(const struct packet *pkt, __u32 side)
{
	return !(pkt->flow_flags & (MG_FLOW_JUDGED_OUT << side)) && pkt->side[side] == MG_SIDE_OWN;
}

/* preDNAT policies know what the client asked for, not who serves it. Verified once; enum
 * host_answer. */
__weak __noinline int host_before(struct packet *pkt, __u32 slot, __u32 how)
{
	struct mg_ident to;
	__be16 dport;
	int answer;

	pkt = packet_row(pkt);
	if (!pkt || set_in_force(slot, pkt->column, MG_STAGE_PREDNAT) == MG_SET_NONE)
		return HOST_GOES_ON;
	to = pkt->to;
	dport = pkt->dport;
	if (how & HOST_AHEAD) {
		ident_exact(&pkt->xlat, &pkt->to);
		ident_complete(&pkt->xlat, &pkt->to);
		pkt->dport = pkt->xport;
	}
	answer = host_stage(pkt, slot, MG_STAGE_PREDNAT, how);
	pkt->to = to;
	pkt->dport = dport;
	return answer;
}

static __always_inline int host_entry(struct packet *pkt, const struct mg_local *local, __u32 how)
{
	bool own = host_is_end(pkt, PKT_IN), pod = pkt->flow_flags & MG_FLOW_JUDGED_OUT;
	__u32 slot = pod ? local->host_any : host_slot(pkt->side[PKT_OUT], local);
	int answer;

	if (pod && own && local->flags & MG_LOCAL_POD_HOST_DROP)
		return -MG_DROP_HOST_CLOSED;
	if (pod && own && !(local->flags & MG_LOCAL_POD_HOST_JUDGE))
		return 0;
	if (!slot || (own && host_failsafe(pkt, MG_FAILSAFE_IN)))
		return 0;
	answer = host_before(pkt, slot, how);
	if (answer == HOST_GOES_ON)
		answer = host_stage(pkt, slot, own ? MG_STAGE_NORMAL_IN : MG_STAGE_FORWARD_IN, how);
	return answer == HOST_DENIES ? -MG_DROP_HOST_INGRESS : 0;
}

static __always_inline int host_exit(struct packet *pkt, const struct mg_local *local, __u32 how)
{
	bool own = host_is_end(pkt, PKT_OUT), pod = pkt->flow_flags & MG_FLOW_JUDGED_IN;
	__u32 slot = pod ? local->host_any : host_slot(pkt->side[PKT_IN], local);

	/* the node always reaches its pods: probes must */
	if (!slot || (own && (pod || host_failsafe(pkt, MG_FAILSAFE_OUT))))
		return 0;
	return host_stage(pkt, slot, own ? MG_STAGE_NORMAL_OUT : MG_STAGE_FORWARD_OUT, how) ==
			       HOST_DENIES
		       ? -MG_DROP_HOST_EGRESS
		       : 0;
}

/* Judges the sides asked for, with from, to, column and sides complete, in the opener's direction,
 * and JUDGED_* in flow_flags. Verified once. */
__weak __noinline int host_sides(struct packet *pkt, __u32 how)
{
	const struct mg_local *local = local_row();
	int r = 0;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	if (how & HOST_ENTRY)
		r = host_entry(pkt, local, how);
	if (!r && how & HOST_EXIT)
		r = host_exit(pkt, local, how);
	return r;
}

static __always_inline bool host_wanted(const struct mg_local *local)
{
	return local->flags & MG_LOCAL_HOST_POLICY;
}

#endif
