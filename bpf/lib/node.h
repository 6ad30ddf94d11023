/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rows of this node, of other nodes and of uplinks (abi/node.h). A row that must exist and does
 * not is a NULL here: the caller drops with MG_DROP_INTERNAL or treats the node as unknown.
 */
#ifndef MARGAY_LIB_NODE_H
#define MARGAY_LIB_NODE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "maps/local.h"
#include "maps/peers.h"
#include "maps/uplinks.h"

static __always_inline const struct mg_local *local_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mg_local, &zero);
}

/* IPv6 on a node that does not handle it. */
static __always_inline bool ipv6_is_off(const struct __sk_buff *skb, const struct mg_local *local)
{
	return skb->protocol == bpf_htons(ETH_P_IPV6) && local->flags & MG_LOCAL_NO_IPV6;
}

/* A node we know; NULL for number 0 and for numbers that were given back. */
static __always_inline const struct mg_peer *peer_row(__u32 node)
{
	const struct mg_peer *peer;

	if (!node)
		return NULL;
	peer = bpf_map_lookup_elem(&mg_peers, &node);
	return peer && peer->flags & MG_PEER_KNOWN ? peer : NULL;
}

static __always_inline const struct mg_uplink *uplink_row(__u32 ifindex)
{
	return bpf_map_lookup_elem(&mg_uplinks, &ifindex);
}

#endif
