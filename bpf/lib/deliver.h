/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hand-over to a pod of this node: Ethernet addresses, and by which door. By the peer where the
 * host-side device has nothing to say; by that device (marked, so that to_pod lets it pass)
 * where it has a queueing discipline that counts.
 */
#ifndef MARGAY_LIB_DELIVER_H
#define MARGAY_LIB_DELIVER_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

#include "lib/config.h"
#include "lib/endpoint.h"
#include "lib/mtu.h"
#include "lib/packet.h"
#include "lib/trace.h"

#define PACKET_TYPE_HOST 0

/* The endpoint that gets the packet: pkt->dst_slot, if it still has the address. */
static __always_inline int deliver_target(const struct packet *pkt, struct mg_ep **ret_ep)
{
	struct mg_ep *ep = endpoint_by_slot(pkt->dst_slot);

	if (!ep || !endpoint_has(ep, &pkt->dst))
		return -MG_DROP_BLACKHOLE;
	if (!(ep->flags & MG_EP_READY))
		return -MG_DROP_NOT_READY;
	*ret_ep = ep;
	return 0;
}

static __always_inline int deliver_door(struct __sk_buff *skb, struct packet *pkt,
					const struct mg_ep *ep)
{
	bool peer = mg_config.redirect_peer && !(ep->flags & MG_EP_NO_PEER);

	pkt->out_ifindex = ep->ifindex;
	trace_step(MG_STEP_DELIVER, ep->slot, ep->ifindex, peer ? 1 : 2);
	if (!peer)
		return MG_FINAL_DEVICE;
	/* the peer's stack looks at what the device before thought of the old addresses */
	if (skb->pkt_type != PACKET_TYPE_HOST)
		bpf_skb_change_type(skb, PACKET_TYPE_HOST);
	return MG_FINAL_PEER;
}

/* Ethernet addresses and, if the caller has not done it, the hop, by direct writes; then the door.
 * There is an Ethernet header, and ep has the packet's destination. */
static __always_inline int deliver_in_place(struct __sk_buff *skb, struct packet *pkt,
					    const struct mg_ep *ep, bool hop)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if ((void *)eth + HOP_BYTES > (void *)(long)skb->data_end)
		return -MG_DROP_INTERNAL;
	__builtin_memcpy(eth->h_dest, ep->mac, ETH_ALEN);
	__builtin_memcpy(eth->h_source, ep->host_mac, ETH_ALEN);
	if (hop)
		hop_in_place((__u8 *)(eth + 1), pkt->family);
	return deliver_door(skb, pkt, ep);
}

/* Step of from_pod. */
static __always_inline int deliver_near(struct __sk_buff *skb, struct packet *pkt,
					const struct mg_ep *ep)
{
	if (!(ep->flags & MG_EP_READY))
		return -MG_DROP_NOT_READY;
	if (pkt->ttl <= 1)
		return reply_ttl(skb, pkt);
	return deliver_in_place(skb, pkt, ep, true);
}

#endif
