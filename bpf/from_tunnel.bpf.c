// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ingress of the idle VXLAN device, which is there for its socket's sake and takes every VNI:
 * nothing goes through it that from_netdev did not mark.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/finish.h"
#include "lib/start.h"

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct packet *pkt = packet_start(skb, MG_HOOK_FROM_TUNNEL);

	if (!pkt)
		return TC_ACT_SHOT;
	if (!mark_is_set(skb))
		return finish_skb(skb, pkt, -MG_DROP_UNMARKED_TUNNEL);
	mark_clear(skb);
	return finish_skb(skb, pkt, MG_FINAL_NEXT);
}

char _license[] SEC("license") = "Dual BSD/GPL";
