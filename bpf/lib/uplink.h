/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs on uplinks share: which packets are the host's own business, and the way of
 * an incoming packet to a pod.
 */
#ifndef MARGAY_LIB_UPLINK_H
#define MARGAY_LIB_UPLINK_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr.h"
#include "lib/decap.h"
#include "lib/deliver.h"
#include "lib/epoch.h"
#include "lib/nat.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/parse_skb.h"
#include "lib/rewrite.h"

/* MG_UPLINK_* of the packet's device and its host endpoint, looked up once a tick: a busy uplink
 * pays a compare where a hash costs as much as a flow's. First of all on an uplink: here what is
 * kept grows old. */
static __always_inline __u32 uplink_flags(struct packet *pkt)
{
	struct mg_control *control = control_row();
	__u32 change = control ? READ_ONCE(control->change) : 0;
	const struct mg_uplink *uplink;

	if (pkt->kept_tick != pkt->tick || pkt->kept_change != change) {
		pkt->kept_tick = pkt->tick;
		pkt->kept_change = change;
		pkt->link_ifindex = 0;
		pkt->far_node = 0;
	}
	if (pkt->link_ifindex != pkt->ifindex) {
		uplink = uplink_row(pkt->ifindex);
		pkt->link_flags = uplink ? uplink->flags : 0;
		pkt->link_host = uplink ? uplink->host : 0;
		pkt->link_ifindex = pkt->ifindex;
	}
	pkt->host = pkt->link_host;
	return pkt->link_flags;
}

/* Parses as the uplink's kind of frame demands. A tag is beside the packet, whether the wire had it
 * or a VLAN device on this one set it: such frames are the VLAN device's, which may be an uplink of
 * its own, and no packet of this one. */
static __always_inline int uplink_parse(struct __sk_buff *skb, struct packet *pkt)
{
	if (skb->vlan_present)
		return -MG_DROP_NOT_IP;
	if (uplink_flags(pkt) & MG_UPLINK_L3)
		pkt->flags |= PKT_NO_L2;
	return parse_skb(skb, pkt);
}

static __always_inline bool addr_is_own(const struct mg_local *local, const union mg_addr *addr)
{
	return addr_equal(addr, &local->ip4) || addr_equal(addr, &local->ip6);
}

static __always_inline bool is_local_pod(const struct mg_ident *ident)
{
	__u16 want = MG_ADDR_POD | MG_ADDR_LOCAL;

	return (ident->flags & want) == want;
}

static __always_inline bool is_local_host(const struct mg_ident *ident)
{
	__u16 want = MG_ADDR_HOST | MG_ADDR_LOCAL;

	return (ident->flags & want) == want;
}

/* Could answers of a translated connection come to this port? Without a look at the flows. */
static __always_inline bool nat_port_possible(const struct mg_local *local,
					      const struct packet *pkt)
{
	if (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP)
		return true;
	return nat_in_ranges(local, pkt->dport);
}

/* To a local pod, as a router: what has no hop left goes to the stack, which tells the sender. */
static __always_inline int uplink_hand_over(struct __sk_buff *skb, struct packet *pkt,
					    struct mg_ep *ep)
{
	int r = pkt->outer_length ? decap_finish(skb, pkt) : 0;

	if (!r && pkt->ttl <= 1)
		return MG_FINAL_STACK;
	if (!r)
		r = add_link(skb, pkt);
	if (!r && !(ep->flags & MG_EP_READY))
		r = -MG_DROP_NOT_READY;
	/* a device may have summed the bytes: only IPv4's own checksum balances the hop */
	if (!r && pkt->family == 6)
		r = ttl_decrement(skb, pkt);
	return r ? r : deliver_in_place(skb, pkt, ep, pkt->family == 4);
}

/* Step for a packet to the pod at dst_slot, if that still has the address. Verified once. */
__weak __noinline int uplink_deliver(struct __sk_buff *skb, struct packet *pkt)
{
	struct mg_ep *ep;

	if (!pkt)
		return -MG_DROP_INTERNAL;
	ep = endpoint_by_slot(pkt->dst_slot);
	if (!ep || !endpoint_has(ep, &pkt->dst))
		return -MG_DROP_BLACKHOLE;
	return uplink_hand_over(skb, pkt, ep);
}

#endif
