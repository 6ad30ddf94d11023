// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ingress of the host side of a pod's veth: everything for a packet that leaves a pod.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/arp.h"
#include "lib/finish.h"
#include "lib/guard.h"
#include "lib/parse_skb.h"
#include "lib/pod_out.h"
#include "lib/start.h"

static __always_inline int from_pod_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	struct mg_ep *ep;
	int r;

	if (!local)
		return -MG_DROP_INTERNAL;
	r = endpoint_enter(pkt, &ep);
	if (r)
		return r;
	pkt->src_slot = ep->slot;
	if (skb->vlan_present)
		return -MG_DROP_NOT_IP;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return arp_answer(skb, pkt, ep);
	if (ipv6_is_off(skb, local))
		return -MG_DROP_IPV6_OFF;
	r = parse_skb_near(skb, pkt);
	if (!r)
		r = guard(skb, pkt, ep, local);
	return r ? r : pod_out(skb, pkt, local);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct packet *pkt = packet_start(skb, MG_HOOK_FROM_POD);

	if (!pkt)
		return TC_ACT_SHOT;
	return finish_skb(skb, pkt, from_pod_steps(skb, pkt));
}

char _license[] SEC("license") = "Dual BSD/GPL";
