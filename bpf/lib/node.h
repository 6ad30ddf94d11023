/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rows of this node, of other nodes and of uplinks (abi/node.h). A row that must exist and does
 * not is a NULL here: the caller drops with MG_DROP_INTERNAL or treats the node as unknown.
 */
#ifndef MARGAY_LIB_NODE_H
#define MARGAY_LIB_NODE_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps/local.h"
#include "maps/peers.h"
#include "maps/uplinks.h"

static __always_inline const struct mg_local *local_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mg_local, &zero);
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

static __always_inline int addr_is_zero(const union mg_addr *addr)
{
	return !(addr->d[0] | addr->d[1]);
}

static __always_inline int addr_equal(const union mg_addr *x, const union mg_addr *y)
{
	return x->d[0] == y->d[0] && x->d[1] == y->d[1];
}

/* 4 or 6, by the v4-mapped prefix. */
static __always_inline int addr_family(const union mg_addr *addr)
{
	return !addr->d[0] && addr->w[2] == bpf_htonl(0xffff) ? 4 : 6;
}

static __always_inline void addr_set_v4(union mg_addr *addr, __be32 word)
{
	addr->d[0] = 0;
	addr->w[2] = bpf_htonl(0xffff);
	addr->w[3] = word;
}

#endif
