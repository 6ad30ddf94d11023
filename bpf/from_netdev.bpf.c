// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ingress of an uplink: decapsulation, the receiver's policy, translation back, delivery to pods.
 * What is not for a pod of this node passes to the stack untouched.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/finish.h"
#include "lib/start.h"
#include "lib/uplink_in.h"

static __always_inline int from_netdev_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	/* what the parser refuses never reaches a pod: to_pod would meet it */
	if (!local || uplink_parse(skb, pkt) || pkt->flags & PKT_MULTICAST)
		return MG_FINAL_NEXT;
	r = decap(skb, pkt);
	if (r)
		return r;
	if (pkt->flags & PKT_FROM_TUNNEL && pkt->flags & PKT_MULTICAST)
		return -MG_DROP_TUNNEL_SPOOF;
	return uplink_in(skb, pkt, local);
}

SEC("tc")
int from_netdev(struct __sk_buff *skb)
{
	struct packet *pkt = packet_start(skb, MG_HOOK_FROM_NETDEV);

	if (!pkt)
		return TC_ACT_SHOT;
	return finish_skb(skb, pkt, from_netdev_steps(skb, pkt));
}

char _license[] SEC("license") = "Dual BSD/GPL";
