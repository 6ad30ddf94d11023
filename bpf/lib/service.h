/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A new flow to a service (abi/service.h): which backend, and the pair of rows that translates.
 *
 * The opener's row is found by the service's address and changes the destination (MG_FLOW_DNAT),
 * that of the answers by the backend's and changes the source (MG_FLOW_SNAT). Policy, ways and the
 * receiver's side know the backend alone: packet_ahead() makes it the packet's destination before
 * its bytes say so, which rewrite() changes last, since what is answered to the sender must quote
 * what that one sent.
 *
 * A backend may have the client's tuple already: of a connection to another service that it stands
 * behind, or of a direct one. Then nothing is opened; the sender's next try is a new choice.
 */
#ifndef MARGAY_LIB_SERVICE_H
#define MARGAY_LIB_SERVICE_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"
#include "lib/flow_state.h"
#include "lib/front.h"
#include "lib/nat.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/pick.h"
#include "lib/reset.h"
#include "lib/swap.h"
#include "lib/trace.h"

/* The destination as it will be instead of what stands in the packet, or back again. */
static __always_inline void packet_ahead(struct packet *pkt)
{
	SWAP(pkt->dst, pkt->xlat);
	SWAP(pkt->dport, pkt->xport);
}

static __always_inline struct mg_front *service_front(const struct packet *pkt, __u32 scope)
{
	if (!front_has_ports(pkt->proto))
		return NULL;
	return front_find(&pkt->dst, pkt->dport, pkt->proto, scope);
}

/* --- which backend ------------------------------------------------------------------------ */

static __always_inline void service_use(struct packet *pkt, const union mg_addr *addr, __be16 port)
{
	pkt->xlat = *addr;
	pkt->xport = port;
}

/* Step for a packet without a row, of a client of the scope: 0 without PKT_REWRITE_DST: to no
 * service. With it: xlat:xport is the backend. Verified once. */
__weak __noinline int service_pick(struct packet *pkt, __u32 scope)
{
	struct pick pick = {};
	struct mg_front *front;

	pkt = packet_row(pkt);
	front = pkt ? service_front(pkt, scope) : NULL;
	if (!front)
		return 0;
	if (!front_open_to(front, &pkt->src))
		return -MG_DROP_SOURCE_RANGE;
	if (pkt->flags & PKT_MIDSTREAM) /* who served it is not known */
		return -MG_DROP_NO_FLOW;
	if (!front->count)
		return front->flags & MG_FRONT_SILENT ? -MG_DROP_NO_LOCAL_BACKEND
						      : -MG_DROP_NO_BACKEND;
	pick.client = pkt->src;
	pick.tick = pkt->tick;
	if (!pick_backend(front, &pick))
		return -MG_DROP_NO_BACKEND;
	service_use(pkt, &pick.addr, pick.port);
	pkt->flags |= PKT_REWRITE_DST;
	trace_step(MG_STEP_SERVICE, front->set, pick.slot, bpf_ntohs(pkt->xport));
	return 0;
}

/* Step for a packet to a service without backends: the client is told at once. */
static __always_inline int service_refuse(struct __sk_buff *skb, struct packet *pkt)
{
	if (pkt->proto != IPPROTO_TCP)
		return reply_no_port(skb, pkt, MG_DROP_NO_BACKEND);
	if (pkt->flags & (PKT_FRAGMENT | PKT_WALK) || pkt->tcp_flags & TCP_RST)
		return -MG_DROP_NO_BACKEND;
	return reset_make(skb, pkt, MG_DROP_NO_BACKEND);
}

/* --- rows --------------------------------------------------------------------------------- */

/* The tuple on which the backend answers: pkt->key2; true: its source stands as b. */
static __always_inline bool service_reply_key(struct packet *pkt)
{
	struct flow_end src = { &pkt->xlat, pkt->xport };
	struct flow_end dst = { pkt->flags & PKT_HAIRPIN ? &pkt->dst : &pkt->src, pkt->sport };

	return flow_key_of(&pkt->key2, src, dst, pkt->proto);
}

/* A row for the same answers of an opener's row that is gone, or of this moment's on another CPU.
 */
static __always_inline bool service_same(const struct packet *pkt)
{
	struct mg_flow *row = bpf_map_lookup_elem(&mg_flow_t, &pkt->key2);

	return row && row->flags & MG_FLOW_REPLY && row->way[1] == pkt->row.way[1] &&
	       addr_equal(&row->xlat, &pkt->row.xlat);
}

/* Puts the row of the answers in its place, if nobody has it. */
static __always_inline bool service_claim(struct packet *pkt)
{
	bool swapped = service_reply_key(pkt);

	flow_fill(pkt, MG_FLOW_SNAT | MG_FLOW_REPLY | (swapped ? MG_FLOW_FROM_B : 0));
	pkt->row.xlat = pkt->dst;
	pkt->row.way[0] = pkt->src_slot;
	pkt->row.way[1] = pkt->dport;
	return flow_claim(pkt) || (service_same(pkt) && !bpf_map_update_elem(&mg_flow_t, &pkt->key2,
									     &pkt->row, BPF_ANY));
}

/* Another CPU opened the same connection first: its choice is in force. */
static __always_inline int service_open_taken(struct packet *pkt)
{
	struct mg_flow *other = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);

	if (!other)
		other = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	if (!other || !(other->flags & MG_FLOW_DNAT)) {
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
		return -MG_DROP_FLOW_FULL;
	}
	if (!addr_equal(&other->xlat, &pkt->xlat) || other->way[1] != pkt->xport)
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	service_use(pkt, &other->xlat, other->way[1]);
	return 0;
}

/* The row of the opener's packets. */
static __always_inline int service_open_row(struct packet *pkt)
{
	bool swapped = pkt->flags & PKT_SWAPPED;

	flow_fill(pkt, MG_FLOW_DNAT | (swapped ? MG_FLOW_FROM_B : 0));
	flow_count(pkt, &pkt->row, 0);
	flow_keep_way(&pkt->row, &pkt->to, 0);
	pkt->row.xlat = pkt->xlat;
	pkt->row.way[1] = pkt->xport;
	if (bpf_map_update_elem(&mg_flow_t, &pkt->key, &pkt->row, BPF_NOEXIST))
		return service_open_taken(pkt);
	return bpf_map_lookup_elem(&mg_flow_e, &pkt->key) ? service_open_taken(pkt) : 0;
}

/*
 * Step for a new flow to a service that has been judged: both rows. pkt->dst is the service's
 * address again, pkt->to the backend. Verified once.
 */
__weak __noinline int service_open(struct packet *pkt)
{
	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	if (addr_equal(&pkt->xlat, &pkt->src)) {
		pkt->flags |= PKT_HAIRPIN;
		pkt->flow_flags &= ~(MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN);
	}
	if (!service_claim(pkt))
		return -MG_DROP_NAT_EXHAUSTED;
	pkt->flags |= PKT_NEW_FLOW;
	return service_open_row(pkt);
}

/* --- packets of known flows --------------------------------------------------------------- */

/* rewrite() gets the orders of a translated row. pkt has the row's tuple. */
static __always_inline void use_translation(struct packet *pkt, const struct mg_flow *flow)
{
	pkt->xlat = flow->xlat;
	pkt->xport = flow->way[1];
	pkt->flags |= flow->flags & MG_FLOW_SNAT ? PKT_REWRITE_SRC : PKT_REWRITE_DST;
	if (flow_is_service(flow) && flow_is_hairpin(flow, &pkt->src, &pkt->dst))
		pkt->flags |= PKT_HAIRPIN;
}

/* Is the row at the packet's own key, turned around, one of a service's connection? Then the
 * packet is its translated form, which was judged before it was. */
static __always_inline bool service_translated(const struct packet *pkt)
{
	struct mg_flow *row;

	if (!(pkt->flags & PKT_KEY_TAKEN))
		return false;
	row = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);
	if (!row)
		row = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	return row && flow_is_service(row);
}

#endif
