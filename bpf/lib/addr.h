/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of an address (abi/ident.h): the exact row, else the longest net, else the
 * world. A trie costs four times a hash: only new flows come here, and only what has no exact
 * row goes on to the trie.
 */
#ifndef MARGAY_LIB_ADDR_H
#define MARGAY_LIB_ADDR_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/ident.h"
#include "lib/addr_ops.h"
#include "lib/packet.h"
#include "maps/addrs.h"
#include "maps/nets.h"

#define ADDR_MODES (MG_ADDR_IPIP | MG_ADDR_VXLAN | MG_ADDR_CROSS)

/* The exact row, with PKT_ADDR_EXACT, or a row of zeroes. */
static __always_inline void ident_exact(const union mg_addr *addr, struct mg_ident *ret_ident)
{
	struct mg_ident *row = bpf_map_lookup_elem(&mg_addrs, addr);

	__builtin_memset(ret_ident, 0, sizeof(*ret_ident));
	if (row) {
		*ret_ident = *row;
		ret_ident->flags |= PKT_ADDR_EXACT;
	}
}

/* Of an address without an exact row: the longest net's, else the world's. Verified once; before
 * 6.3 ret_ident must have been written to. */
__weak __noinline int ident_net(const union mg_addr *addr, struct mg_ident *ret_ident)
{
	struct mg_prefix key = { .len = MG_ADDR_BITS };
	struct mg_ident *row;

	if (!addr || !ret_ident)
		return 0;
	key.addr = *addr;
	row = bpf_map_lookup_elem(&mg_nets, &key);
	__builtin_memset(ret_ident, 0, sizeof(*ret_ident));
	if (row)
		*ret_ident = *row;
	else
		ret_ident->identity = addr_family(addr) == 4 ? MG_IDENT_WORLD4 : MG_IDENT_WORLD6;
	return 0;
}

/* Fills what ident_exact() left open. */
static __always_inline void ident_complete(const union mg_addr *addr, struct mg_ident *ident)
{
	if (!(ident->flags & PKT_ADDR_EXACT))
		ident_net(addr, ident);
}

/* A pool's address whose owner is not known. It has an identity of its own where it lies in a net
 * that a rule names. */
static __always_inline bool ident_unknown(const struct mg_ident *ident)
{
	return ident->flags & MG_ADDR_POOL &&
	       !(ident->flags & (MG_ADDR_POD | MG_ADDR_HOST | PKT_ADDR_EXACT));
}

#endif
