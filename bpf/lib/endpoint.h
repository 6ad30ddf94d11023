/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The local endpoint at a device, and what it may say it is.
 */
#ifndef MARGAY_LIB_ENDPOINT_H
#define MARGAY_LIB_ENDPOINT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/endpoint.h"
#include "abi/node.h"
#include "lib/config.h"
#include "lib/addr_ops.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/trace.h"
#include "maps/ep.h"
#include "maps/ep_if.h"
#include "maps/source.h"

static __always_inline struct mg_ep *endpoint_by_slot(__u32 slot)
{
	return slot ? bpf_map_lookup_elem(&mg_ep, &slot) : NULL;
}

/* The endpoint whose host-side device this is; NULL: none. */
static __always_inline struct mg_ep *endpoint_by_ifindex(__u32 ifindex)
{
	__u32 slot = ifindex - MG_IFINDEX_BASE, *other;
	struct mg_ep *ep;

	if (slot < mg_config.slots) {
		ep = endpoint_by_slot(slot);
		if (ep && ep->ifindex == ifindex)
			return ep;
	}
	other = bpf_map_lookup_elem(&mg_ep_if, &ifindex);
	if (!other)
		return NULL;
	ep = endpoint_by_slot(*other);
	return ep && ep->ifindex == ifindex ? ep : NULL;
}

/* The endpoint this hook belongs to, fit to be judged. */
static __always_inline int endpoint_enter(struct packet *pkt, struct mg_ep **ret_ep)
{
	struct mg_ep *ep = endpoint_by_ifindex(pkt->ifindex);

	if (!ep)
		return -MG_DROP_NO_ENDPOINT;
	pkt->ep_flags = ep->flags;
	trace_step(MG_STEP_ENDPOINT, ep->slot, ep->flags, 0);
	*ret_ep = ep;
	return ep->flags & MG_EP_READY ? 0 : -MG_DROP_NOT_READY;
}

static __always_inline bool endpoint_has(const struct mg_ep *ep, const union mg_addr *addr)
{
	return addr_equal(addr, &ep->ip4) || addr_equal(addr, &ep->ip6);
}

/* allowedSourcePrefixes: the longest prefix that holds the source must be this slot's. */
static __always_inline bool source_allowed(const struct mg_ep *ep, const union mg_addr *addr)
{
	struct mg_prefix key = { .len = MG_ADDR_BITS, .addr = *addr };
	__u32 *slot = bpf_map_lookup_elem(&mg_source, &key);

	return slot && *slot == ep->slot;
}

/* Is the packet's source one of the sending endpoint? */
static __always_inline int check_source(const struct packet *pkt, const struct mg_ep *ep,
					const struct mg_local *local)
{
	if (addr_is_unspecified(&pkt->src))
		return -MG_DROP_SPOOFED;
	if (endpoint_has(ep, &pkt->src))
		return 0;
	if (local->flags & MG_LOCAL_ANY_SOURCE)
		return 0;
	if ((ep->flags & MG_EP_ANY_SOURCE) && source_allowed(ep, &pkt->src))
		return 0;
	return -MG_DROP_SPOOFED;
}

#endif
