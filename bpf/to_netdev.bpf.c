// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Egress of an uplink. What our own programs sent carries the mark and passes; what the stack
 * sends to pods of other nodes is encapsulated, what it forwards of our pods is translated.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/finish.h"
#include "lib/start.h"
#include "lib/uplink_out.h"

static __always_inline int to_netdev_steps(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();

	int r;

	if (!local)
		return MG_FINAL_NEXT;
	r = uplink_parse(skb, pkt);
	if (ipv6_is_off(skb, local) && !pkt->host)
		return MG_FINAL_NEXT;
	if (r) /* a host endpoint's policy cannot be asked of what is cut off or contradicts itself
		*/
		return pkt->host && r != -MG_DROP_NOT_IP ? r : MG_FINAL_NEXT;
	if (pkt->flags & PKT_MULTICAST)
		return host_leaves(skb, pkt, MG_FINAL_NEXT);
	return uplink_out(skb, pkt, local);
}

SEC("tc")
int to_netdev(struct __sk_buff *skb)
{
	struct packet *pkt;

	if (mark_is_set(skb)) {
		mark_clear(skb);
		return TC_ACT_UNSPEC;
	}
	pkt = packet_start(skb, MG_HOOK_TO_NETDEV);
	if (!pkt)
		return TC_ACT_SHOT;
	return finish_skb(skb, pkt, to_netdev_steps(skb, pkt));
}

char _license[] SEC("license") = "Dual BSD/GPL";
