/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * To a pod by the host's stack. Every flow that begins here is MG_FLOW_VIA_STACK: from_pod hands
 * its answers back to the stack, so that others' translations (portmap, kube-proxy) are undone
 * where they were done.
 */
#ifndef MARGAY_LIB_POD_IN_H
#define MARGAY_LIB_POD_IN_H

#include "lib/frag.h"
#include "lib/icmp.h"
#include "lib/open.h"
#include "lib/rewrite.h"
#include "lib/service.h"

/* What the host's stack brings of a connection that is translated: answers of a service's backend
 * that is the host itself, or lives beyond it. */
static __always_inline int translated_in(struct __sk_buff *skb, struct packet *pkt,
					 struct mg_flow *flow)
{
	int r;

	use_translation(pkt, flow);
	flow_update(pkt, flow);
	r = rewrite(skb, pkt);
	return r ? r : MG_FINAL_NEXT;
}

static __always_inline int known_in(struct __sk_buff *skb, struct packet *pkt, struct mg_flow *flow)
{
	int r = flow_recheck(pkt, flow);

	if (r)
		return r;
	if (flow->flags & FLOW_TRANSLATED)
		return translated_in(skb, pkt, flow);
	if (flow_settled(pkt, flow))
		flow_touch(pkt, flow);
	else
		flow_update(pkt, flow);
	return MG_FINAL_NEXT;
}

/* A socket of this node: never judged. In the middle of a TCP connection (its row was evicted)
 * it is taken at its word; a RST needs no row. */
__weak __noinline int host_opens(struct packet *pkt)
{
	struct mg_control *control = control_row();

	pkt = packet_row(pkt);
	if (!control || !pkt)
		return -MG_DROP_INTERNAL;
	if (pkt->flags & PKT_KEY_TAKEN)
		return MG_FINAL_NEXT;
	pkt->change = READ_ONCE(control->change);
	pkt->epoch = 0;
	pkt->flow_flags = MG_FLOW_VIA_STACK;
	pkt->tcp_state = 0;
	if (pkt->proto == IPPROTO_TCP) {
		if (pkt->tcp_flags & TCP_RST)
			return MG_FINAL_NEXT;
		pkt->tcp_state =
			is_opening(pkt) ? MG_TCP_SYN : MG_TCP_ESTABLISHED | MG_TCP_MIDSTREAM;
	}
	flow_create(pkt);
	return MG_FINAL_NEXT;
}

/* Forwarded by this node. */
__weak __noinline int forwarded_opens(struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	r = open_ends(pkt);
	if (r)
		return r;
	pkt->src_slot = local_slot(&pkt->from);
	pkt->flow_flags = MG_FLOW_VIA_STACK;
	r = open_flow(pkt, local, PKT_JUDGE_IN);
	return r ? r : MG_FINAL_NEXT;
}

static __always_inline bool from_host(const struct packet *pkt)
{
	return pkt->flags & PKT_FROM_HOST;
}

static __always_inline int pod_in(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_flow *flow;
	int r;

	if (from_host(pkt) && (pkt->flags & (PKT_MULTICAST | PKT_ICMP_ERROR)))
		return MG_FINAL_NEXT;
	if (pkt->flags & PKT_MULTICAST)
		return -MG_DROP_NO_ROUTE;
	if (pkt->flags & PKT_ICMP_ERROR) {
		r = icmp_error_match(skb, pkt);
		return r ? r : MG_FINAL_NEXT;
	}
	r = frag_track(pkt);
	if (r)
		return from_host(pkt) ? MG_FINAL_NEXT : r;
	flow_key_near(pkt);
	flow = flow_find(pkt);
	if (flow)
		return known_in(skb, pkt, flow);
	if (service_translated(pkt))
		return MG_FINAL_NEXT;
	return from_host(pkt) ? host_opens(pkt) : forwarded_opens(pkt);
}

#endif
