/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From an uplink: resets for senders out there, and the packets of translated connections.
 */
#ifndef MARGAY_LIB_UPLINK_ANSWER_H
#define MARGAY_LIB_UPLINK_ANSWER_H

#include "lib/decap.h"
#include "lib/flow_state.h"
#include "lib/recheck.h"
#include "lib/relay.h"
#include "lib/reset.h"
#include "lib/rewrite.h"
#include "lib/service.h"
#include "lib/service_in.h"
#include "lib/uplink.h"
#include "lib/uplink_from.h"

/* A reset for a sender that is told back through the tunnel its segment came in. */
__weak __noinline int reset_tunnel(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	pkt = packet_row(pkt);
	if (!pkt)
		return -MG_DROP_INTERNAL;
	packet_turn(pkt);
	pkt->tos = 0;
	pkt->out_node = pkt->in_node;
	pkt->to.flags = pkt->outer_kind == IPPROTO_UDP ? MG_ADDR_VXLAN : MG_ADDR_IPIP;
	r = route_node(pkt);
	if (!r)
		r = add_link(skb, pkt);
	if (!r)
		r = encap(skb, pkt);
	/* it is counted already */
	return r < 0 ? MG_FINAL_CONSUMED : r;
}

/* Step for a segment that is refused for r: the answer, by the way the segment came, where one is
 * wanted; else r again. */
static __always_inline int reset_in(struct __sk_buff *skb, struct packet *pkt,
				    const struct mg_local *local, int r)
{
	int answer;

	if (r >= 0 || !reset_wanted(pkt, local) || decap_finish(skb, pkt))
		return r;
	answer = reset_make(skb, pkt, -r);
	return answer == MG_FINAL_REPLY && pkt->flags & PKT_FROM_TUNNEL ? reset_tunnel(skb, pkt)
									: answer;
}

/* Judged and routed with the tuple that the backend knows. xlat:xport is the service's meanwhile,
 * for host endpoints (host.h). What stood in the packet is kept where ICMP errors have their quote.
 */
static __always_inline int service_recheck(struct packet *pkt, struct mg_flow *flow,
					   const struct mg_local *local)
{
	bool reply = flow->flags & MG_FLOW_REPLY;
	int r;

	pkt->inner_dst = pkt->dst;
	pkt->inner_dport = pkt->dport;
	pkt->xlat = reply ? flow->xlat : pkt->dst;
	pkt->xport = reply ? flow->way[1] : pkt->dport;
	if (!reply) {
		pkt->dst = flow->xlat;
		pkt->dport = flow->way[1];
	}
	r = flow_recheck(pkt, flow);
	if (!r)
		flow_way(pkt, flow, local);
	pkt->dst = pkt->inner_dst;
	pkt->dport = pkt->inner_dport;
	return r;
}

/* Of a client of a service, who asked this node, or of a backend on another node, or outside. */
static __always_inline int service_in(struct __sk_buff *skb, struct packet *pkt,
				      struct mg_flow *flow, const struct mg_local *local)
{
	struct mg_ident from;
	bool answer;
	int r;

	ident_exact(&pkt->src, &from);
	ident_complete(&pkt->src, &from);
	r = check_from(pkt, &from);
	if (r)
		return r;
	r = service_recheck(pkt, flow, local);
	if (r)
		return reset_in(skb, pkt, local, r);
	answer = flow->flags & MG_FLOW_REPLY && !is_local_pod(&pkt->to);
	if (answer && flow->flags & MG_FLOW_JUDGED_OUT)
		return -MG_DROP_BLACKHOLE;
	if (answer)
		pkt->out_ifindex = flow->side[PKT_OUT].place.at;
	use_translation(pkt, flow);
	flow_update(pkt, flow);
	return answer ? service_answer_out(skb, pkt) : service_pass(skb, pkt);
}

/* A packet of a translated connection; its row was found by the tuple on the wire. */
static __always_inline int answer_in(struct __sk_buff *skb, struct packet *pkt,
				     struct mg_flow *flow, const struct mg_local *local)
{
	union mg_addr dst = pkt->dst;
	__u16 slot = flow->way[0];
	int r;

	if (flow_is_service(flow))
		return service_in(skb, pkt, flow, local);
	if (!(flow->flags & MG_FLOW_REPLY))
		return -MG_DROP_LOCAL_CLAIMED;
	pkt->dst = flow->xlat;
	pkt->xport = flow->way[1];
	r = flow_recheck(pkt, flow);
	pkt->dst = dst;
	if (r)
		return reset_in(skb, pkt, local, r);
	pkt->xlat = flow->xlat;
	pkt->dst_slot = slot;
	flow_update(pkt, flow);
	pkt->flags |= PKT_REWRITE_DST;
	r = rewrite(skb, pkt);
	if (r)
		return r;
	return slot ? uplink_deliver(skb, pkt) : MG_FINAL_STACK; /* none: nat_host.h */
}

#endif
