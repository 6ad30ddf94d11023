/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The only place where a step's result becomes a code of the kernel, is counted and told.
 * Our mark goes on before every hand-over that passes another of our programs, and off before
 * every one that does not.
 */
#ifndef MARGAY_LIB_FINISH_H
#define MARGAY_LIB_FINISH_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "abi/endpoint.h"
#include "lib/addr_ops.h"
#include "lib/config.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/trace.h"

#define AF_INET_NUMBER 2
#define AF_INET6_NUMBER 10

static __always_inline void mark_set(struct __sk_buff *skb)
{
	skb->mark |= mg_config.mark;
}

static __always_inline void mark_clear(struct __sk_buff *skb)
{
	if (skb->mark & mg_config.mark)
		skb->mark &= ~mg_config.mark;
}

static __always_inline bool mark_is_set(const struct __sk_buff *skb)
{
	return skb->mark & mg_config.mark;
}

/* Out of a device by its neighbour table; without a next hop the kernel asks its routes. */
static __always_inline int send_neigh(const struct packet *pkt)
{
	struct bpf_redir_neigh hop = {};

	if (addr_is_zero(&pkt->next_hop))
		return bpf_redirect_neigh(pkt->out_ifindex, NULL, 0, 0);
	if (addr_family(&pkt->next_hop) == 4) {
		hop.nh_family = AF_INET_NUMBER;
		hop.ipv4_nh = pkt->next_hop.w[3];
	} else {
		hop.nh_family = AF_INET6_NUMBER;
		__builtin_memcpy(hop.ipv6_nh, &pkt->next_hop, sizeof(hop.ipv6_nh));
	}
	return bpf_redirect_neigh(pkt->out_ifindex, &hop, sizeof(hop), 0);
}

/* What came in goes out of the same device; what was going out comes in by it, to be met by
 * from_netdev as everything from there. */
static __always_inline int send_back(struct __sk_buff *skb, const struct packet *pkt)
{
	if (pkt->hook == MG_HOOK_TO_NETDEV) {
		mark_clear(skb);
		return bpf_redirect(pkt->ifindex, BPF_F_INGRESS);
	}
	mark_set(skb);
	return bpf_redirect(pkt->ifindex, 0);
}

__weak __noinline int finish_drop(struct __sk_buff *skb, struct packet *pkt, int reason)
{
	if (!pkt)
		return TC_ACT_SHOT;
	if (reason <= MG_DROP_NONE || reason >= MG_DROP_MAX)
		reason = MG_DROP_INTERNAL;
	if (reason == MG_DROP_ANSWERED)
		return TC_ACT_SHOT;
	trace_step(MG_STEP_DROP, reason, 0, 0);
	count_drop(pkt, reason);
	event_drop(skb, pkt, reason);
	log_tell(skb, pkt, reason);
	return TC_ACT_SHOT;
}

/* Of what goes on: a flow that is new, if anybody reads of those, and what Log rules saw. */
__weak __noinline int finish_tell(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();

	if (!pkt || !local)
		return 0;
	log_tell(skb, pkt, MG_DROP_NONE);
	if ((pkt->flags & PKT_NEW_FLOW) && (local->flags & MG_LOCAL_FLOW_EVENTS))
		event_send(skb, pkt, MG_EVENT_FLOW, MG_DROP_NONE);
	return 0;
}

static __always_inline int finish_final(struct __sk_buff *skb, struct packet *pkt, int final)
{
	switch ((enum mg_final) final) {
	case MG_FINAL_PEER:
		mark_clear(skb);
		return bpf_redirect_peer(pkt->out_ifindex, 0);
	case MG_FINAL_DEVICE:
		mark_set(skb);
		return bpf_redirect(pkt->out_ifindex, 0);
	case MG_FINAL_NEIGH:
		mark_set(skb);
		return send_neigh(pkt);
	case MG_FINAL_REPLY:
		return send_back(skb, pkt);
	case MG_FINAL_STACK:
	case MG_FINAL_NEXT:
		return pkt->ep_flags & MG_EP_TWICE ? TC_ACT_OK : TC_ACT_UNSPEC;
	case MG_FINAL_CONSUMED:
		return TC_ACT_SHOT;
	}
	return finish_drop(skb, pkt, MG_DROP_INTERNAL);
}

/* result: of the last step. 0 is a path that decided nothing: a defect, and a drop. */
static __always_inline int finish_skb(struct __sk_buff *skb, struct packet *pkt, int result)
{
	int code;

	if (result > 0 && (pkt->logs || (pkt->flags & PKT_NEW_FLOW)))
		finish_tell(skb, pkt);
	code = result > 0 ? finish_final(skb, pkt, result) : finish_drop(skb, pkt, -result);

	/* the helpers' own refusal: nothing is left to try */
	if (code == TC_ACT_SHOT && result > 0 && result != MG_FINAL_CONSUMED)
		count_drop(pkt, MG_DROP_REDIRECT);
	/* so that kernel_drops does not tell it again */
	if (code == TC_ACT_SHOT)
		mark_set(skb);
	trace_verdict(code);
	return code;
}

#endif
