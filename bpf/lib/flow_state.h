/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a flow row: created transient; moved to the established table by the ACK that
 * ends TCP's handshake, by packets both ways for 2 s, or, where only one direction passes here,
 * by a second of ACKs or 16 segments; moved back by RST or FIN both ways. Insert before delete:
 * a packet on another CPU always finds one of the two. Both rows of a translated pair move.
 */
#ifndef MARGAY_LIB_FLOW_STATE_H
#define MARGAY_LIB_FLOW_STATE_H

#include "lib/flow.h"

#define BOTH_WAYS_HALF_SECONDS 4
#define ONE_WAY_HALF_SECONDS 2
#define ONE_WAY_SEGMENTS 17 /* the SYN and 16 more */

enum flow_move { FLOW_STAY, FLOW_PROMOTE, FLOW_DEMOTE };

static __always_inline __u8 half_seconds(const struct packet *pkt)
{
	return pkt->tick >> HALF_SECOND_SHIFT;
}

static __always_inline bool half_seconds_since(const struct packet *pkt, __u8 then, __u8 count)
{
	return (__u8)(half_seconds(pkt) - then) >= count;
}

/* A lone ACK: of the opener, with no answer seen here. */
static __always_inline bool one_way_established(const struct packet *pkt, struct mg_flow *flow,
						__u32 packets)
{
	if (!(flow->state & MG_TCP_MIDSTREAM)) {
		flow->state |= MG_TCP_MIDSTREAM;
		flow->both = half_seconds(pkt);
	}
	return half_seconds_since(pkt, flow->both, ONE_WAY_HALF_SECONDS) ||
	       packets >= ONE_WAY_SEGMENTS;
}

static __always_inline enum flow_move flow_close(const struct packet *pkt, struct mg_flow *flow,
						 __u32 direction)
{
	if (flow_closed(flow))
		return FLOW_STAY;
	if (pkt->tcp_flags & TCP_RST)
		flow->state |= MG_TCP_RST;
	else
		flow->state |= direction ? MG_TCP_FIN1 : MG_TCP_FIN0;
	return flow_closed(flow) && (pkt->flags & PKT_ESTABLISHED) ? FLOW_DEMOTE : FLOW_STAY;
}

static __always_inline enum flow_move flow_tcp(const struct packet *pkt, struct mg_flow *flow,
					       __u32 direction, __u32 packets)
{
	bool reversed = pkt->flags & PKT_REVERSED;

	if (pkt->tcp_flags & (TCP_RST | TCP_FIN))
		return flow_close(pkt, flow, direction);
	if (pkt->flags & PKT_ESTABLISHED)
		return FLOW_STAY;
	if (flow_closed(flow) || !(pkt->tcp_flags & TCP_ACK))
		return FLOW_STAY;
	if (pkt->tcp_flags & TCP_SYN) {
		if (reversed)
			flow->state |= MG_TCP_SYNACK;
		return FLOW_STAY;
	}
	if (reversed)
		return FLOW_STAY;
	if (!(flow->state & (MG_TCP_SYNACK | MG_TCP_ESTABLISHED)) &&
	    !one_way_established(pkt, flow, packets))
		return FLOW_STAY;
	flow->state |= MG_TCP_ESTABLISHED;
	return FLOW_PROMOTE;
}

/* Everything but TCP. */
static __always_inline enum flow_move flow_plain(const struct packet *pkt, struct mg_flow *flow)
{
	if (pkt->flags & PKT_ESTABLISHED)
		return FLOW_STAY;
	if (!(flow->flags & MG_FLOW_BOTH_SEEN)) {
		if (!(pkt->flags & PKT_REVERSED))
			return FLOW_STAY;
		flow->flags |= MG_FLOW_BOTH_SEEN;
		flow->both = half_seconds(pkt);
	}
	return half_seconds_since(pkt, flow->both, BOTH_WAYS_HALF_SECONDS) ? FLOW_PROMOTE
									   : FLOW_STAY;
}

/* A full established table promotes nobody: the row stays where it is. */
static __always_inline void flow_promote(struct mg_flow_key *key, struct mg_flow *flow)
{
	if (!bpf_map_update_elem(&mg_flow_e, key, flow, BPF_NOEXIST))
		bpf_map_delete_elem(&mg_flow_t, key);
}

/* A flow that is over may leave the transient table by its LRU: what it counted goes now. */
static __always_inline void flow_demote(struct mg_flow_key *key, struct mg_flow *flow)
{
	flow_fold(flow);
	if (!bpf_map_update_elem(&mg_flow_t, key, flow, BPF_ANY))
		bpf_map_delete_elem(&mg_flow_e, key);
}

/* The row found for pkt->key goes into the other table. */
__weak __noinline int flow_move(struct packet *pkt, struct mg_flow *flow, __u32 move)
{
	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return 0;
	pkt->row = *flow;
	if (move == FLOW_PROMOTE)
		flow_promote(&pkt->key, &pkt->row);
	else
		flow_demote(&pkt->key, &pkt->row);
	return 0;
}

/* The partner learns the state, and moves along. */
__weak __noinline int flow_update_partner(struct packet *pkt, struct mg_flow *flow, __u32 move)
{
	struct mg_flow *partner;

	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return 0;
	flow_key_partner(pkt, flow);
	partner = flow_partner(pkt);
	if (!partner)
		return 0;
	partner->state = flow->state;
	partner->both = flow->both;
	partner->flags |= flow->flags & MG_FLOW_BOTH_SEEN;
	partner->seen = pkt->tick;
	if (move == FLOW_PROMOTE)
		flow_promote(&pkt->key2, partner);
	else if (move == FLOW_DEMOTE)
		flow_demote(&pkt->key2, partner);
	return 0;
}

/* Plain additions: two CPUs at once in one direction may lose a count, an atomic costs every
 * packet. A bundle (GSO) is as many packets as it has segments. Returns the direction's packets. */
static __always_inline __u32 flow_count(const struct packet *pkt, struct mg_flow *flow,
					__u32 direction)
{
	if (direction && !(flow->flags & FLOW_TRANSLATED)) {
		flow->back.bytes += pkt->l3_length;
		return flow->back.packets += pkt->segments;
	}
	flow->bytes += pkt->l3_length;
	return flow->packets += pkt->segments;
}

/* A packet that changes nothing in its flow's state: flow_touch() is all of flow_update(). */
static __always_inline bool flow_settled(const struct packet *pkt, const struct mg_flow *flow)
{
	if (pkt->flags & PKT_ESTABLISHED)
		return !(pkt->tcp_flags & (TCP_RST | TCP_FIN));
	if (pkt->proto == IPPROTO_TCP)
		return false;
	if (!(flow->flags & MG_FLOW_BOTH_SEEN))
		return !(pkt->flags & PKT_REVERSED);
	return !half_seconds_since(pkt, flow->both, BOTH_WAYS_HALF_SECONDS);
}

static __always_inline void flow_touch(const struct packet *pkt, struct mg_flow *flow)
{
	flow_count(pkt, flow, flow_direction(pkt, flow));
	flow->seen = pkt->tick;
}

/* A packet of a known flow goes through: counts, time, state. pkt has the row's tuple (before
 * translation). The last touch: a row that moves leaves the pointer void. */
static __always_inline void flow_update_near(struct packet *pkt, struct mg_flow *flow)
{
	__u16 before = flow->state | (flow->flags & MG_FLOW_BOTH_SEEN);
	__u32 direction = flow_direction(pkt, flow);
	__u32 packets = flow_count(pkt, flow, direction);
	enum flow_move move;

	flow->seen = pkt->tick;
	move = pkt->proto == IPPROTO_TCP ? flow_tcp(pkt, flow, direction, packets)
					 : flow_plain(pkt, flow);
	if ((flow->flags & FLOW_TRANSLATED) &&
	    (move != FLOW_STAY || before != (flow->state | (flow->flags & MG_FLOW_BOTH_SEEN))))
		flow_update_partner(pkt, flow, move);
	if (move != FLOW_STAY)
		flow_move(pkt, flow, move);
}

__weak __noinline int flow_update(struct packet *pkt, struct mg_flow *flow)
{
	if (!pkt || !flow)
		return -MG_DROP_INTERNAL;
	flow_update_near(pkt, flow);
	return 0;
}

/* May a packet without a row begin a flow? A segment of an unknown TCP connection may not, but
 * for the time after the tables were created anew: then policy must allow the connection in one
 * of the two directions (PKT_MIDSTREAM). */
static __always_inline int flow_admit(struct packet *pkt, const struct mg_local *local)
{
	if (pkt->flags & PKT_KEY_TAKEN)
		return -MG_DROP_FLOW_FULL;
	pkt->tcp_state = 0;
	if (pkt->proto != IPPROTO_TCP)
		return 0;
	pkt->tcp_state = MG_TCP_SYN;
	if (is_opening(pkt))
		return 0;
	if (!(local->flags & MG_LOCAL_FLOWS_NEW) || (pkt->tcp_flags & (TCP_SYN | TCP_RST)) ||
	    bpf_ktime_get_boot_ns() >= local->flows_new_until)
		return -MG_DROP_NO_FLOW;
	pkt->tcp_state = MG_TCP_ESTABLISHED | MG_TCP_MIDSTREAM;
	pkt->flags |= PKT_MIDSTREAM;
	return 0;
}

/* Where the packet goes, for the row: a slot, or a node with its pool's mode. */
static __always_inline void flow_keep_way(struct mg_flow *row, const struct mg_ident *to,
					  __u32 direction)
{
	__u16 flags = row->flags & ~(MG_FLOW_WAY0_NODE << direction);

	if ((to->flags & (MG_ADDR_POD | MG_ADDR_LOCAL)) == (MG_ADDR_POD | MG_ADDR_LOCAL)) {
		row->way[direction] = to->slot;
	} else if (to->flags & MG_ADDR_BLOCK) {
		row->way[direction] = 0; /* its pod may be known a moment later */
	} else {
		row->way[direction] = to->node;
		flags |= MG_FLOW_WAY0_NODE << direction;
		flags &= ~(MG_FLOW_WAY_IPIP | MG_FLOW_WAY_VXLAN | MG_FLOW_WAY_CROSS);
		if (to->flags & MG_ADDR_IPIP)
			flags |= MG_FLOW_WAY_IPIP;
		if (to->flags & MG_ADDR_VXLAN)
			flags |= MG_FLOW_WAY_VXLAN;
		if (to->flags & MG_ADDR_CROSS)
			flags |= MG_FLOW_WAY_CROSS;
	}
	row->flags = flags;
}

/* pkt->row from what was found and judged; flags beside pkt->flow_flags. */
static __always_inline void flow_fill(struct packet *pkt, __u16 flags)
{
	struct mg_flow *row = &pkt->row;

	__builtin_memset(row, 0, sizeof(*row));
	row->seen = pkt->tick;
	row->change = pkt->change;
	row->epoch = pkt->epoch;
	row->state = pkt->tcp_state;
	row->flags = pkt->flow_flags | flags;
	flow_keep_side(row, pkt, PKT_OUT);
	flow_keep_side(row, pkt, PKT_IN);
}

/* Inserts pkt->row at pkt->key2, unless somebody has the tuple. Promotion inserts before it
 * deletes: whoever has it is in one of the two tables. */
static __always_inline bool flow_claim(struct packet *pkt)
{
	if (bpf_map_update_elem(&mg_flow_t, &pkt->key2, &pkt->row, BPF_NOEXIST))
		return false;
	if (!bpf_map_lookup_elem(&mg_flow_e, &pkt->key2))
		return true;
	bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	return false;
}

/* The row of an untranslated flow that the packet opens (PKT_REVERSED: that the packet's
 * receiver opened, found in midstream). */
static __always_inline int flow_create(struct packet *pkt)
{
	bool swapped = pkt->flags & PKT_SWAPPED, reversed = pkt->flags & PKT_REVERSED;

	if (pkt->flags & PKT_FLOW_ANEW)
		flow_end_old(pkt);
	flow_fill(pkt, swapped != reversed ? MG_FLOW_FROM_B : 0);
	flow_count(pkt, &pkt->row, swapped);
	flow_keep_way(&pkt->row, &pkt->to, swapped);
	if (pkt->flags & PKT_CARRIED) /* nothing but this packet tells by whom it came */
		flow_keep_way(&pkt->row, &pkt->from, !swapped);
	if (bpf_map_update_elem(&mg_flow_t, &pkt->key, &pkt->row, BPF_ANY))
		return -MG_DROP_FLOW_FULL;
	pkt->flags |= PKT_NEW_FLOW;
	return 0;
}

#endif
