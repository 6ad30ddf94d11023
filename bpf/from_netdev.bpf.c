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

/* What the parser refuses never reaches a pod: to_pod would meet it. It is the host's to judge, but
 * for what may be a tunnel behind more options than the parser follows: the host's own tunnel
 * sockets would open it. */
static __always_inline int refused(const struct packet *pkt, const struct mg_local *local, int r)
{
	bool tunnel = pkt->proto == IPPROTO_UDP || pkt->proto == IPPROTO_IPIP ||
		      pkt->proto == IPPROTO_IPV6;

	if (r == -MG_DROP_IP_OPTIONS && tunnel && addr_is_own(local, &pkt->dst) &&
	    local->flags & (MG_LOCAL_IPIP | MG_LOCAL_VXLAN))
		return r;
	/* a host endpoint's policy cannot be asked of it */
	return pkt->host && r != -MG_DROP_NOT_IP ? r : MG_FINAL_NEXT;
}

static __always_inline int from_netdev_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	if (!local)
		return MG_FINAL_NEXT;
	r = uplink_parse(skb, pkt);
	if (ipv6_is_off(skb, local) && !pkt->host)
		return MG_FINAL_NEXT;
	if (r)
		return refused(pkt, local, r);
	if (pkt->flags & PKT_MULTICAST)
		return multicast_in(skb, pkt);
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
