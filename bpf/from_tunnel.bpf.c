// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Ingress of the idle VXLAN device, which is there for its socket's sake and takes every VNI.
 * Nothing passes that from_netdev did not look at and mark: packets that only the kernel's device
 * can open (docs/decisions/udp-gso-out-of-vxlan.md). The rest of from_netdev's job is done here.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/finish.h"
#include "lib/start.h"
#include "lib/uplink_in.h"

static __always_inline int from_tunnel_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	if (!mark_is_set(skb) || !local)
		return -MG_DROP_UNMARKED_TUNNEL;
	mark_clear(skb);
	r = ipv6_is_off(skb, local) ? -MG_DROP_IPV6_OFF : parse_skb(skb, pkt);
	if (!r)
		r = decap_by_device(skb, pkt);
	if (r)
		return r;
	return pkt->flags & PKT_MULTICAST ? -MG_DROP_TUNNEL_SPOOF : uplink_in(skb, pkt, local);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct packet *pkt = packet_start(skb, MG_HOOK_FROM_TUNNEL);

	if (!pkt)
		return TC_ACT_SHOT;
	return finish_skb(skb, pkt, from_tunnel_steps(skb, pkt));
}

char _license[] SEC("license") = "Dual BSD/GPL";
