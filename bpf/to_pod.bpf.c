// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Egress of the host side of a pod's veth: what the host's stack delivers to a pod. Packets of
 * the host's own sockets pass whatever the policy (probes must), forwarded ones are judged; the
 * answers of both go back to the stack.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/finish.h"
#include "lib/parse_skb.h"
#include "lib/pod_in.h"
#include "lib/start.h"

static __always_inline int to_pod_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	struct mg_ep *ep;
	int r = endpoint_enter(pkt, &ep);

	if (mark_is_set(skb)) {
		mark_clear(skb);
		return MG_FINAL_NEXT;
	}
	if (!local)
		return -MG_DROP_INTERNAL;
	if (r)
		return r;
	pkt->dst_slot = ep->slot;
	if (!skb->ingress_ifindex)
		pkt->flags |= PKT_FROM_HOST;
	r = ipv6_is_off(skb, local) ? -MG_DROP_IPV6_OFF : parse_skb_near(skb, pkt);
	if (r) /* ARP, and whatever else the host says on its own link */
		return pkt->flags & PKT_FROM_HOST ? MG_FINAL_NEXT : r;
	return pod_in(skb, pkt);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct packet *pkt = packet_start(skb, MG_HOOK_TO_POD);

	if (!pkt)
		return TC_ACT_SHOT;
	return finish_skb(skb, pkt, to_pod_steps(skb, pkt));
}

char _license[] SEC("license") = "Dual BSD/GPL";
