/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which frontend an address, port and protocol is (abi/service.h): an exact one, else the node port
 * that stands at every node's address.
 */
#ifndef MARGAY_LIB_FRONT_H
#define MARGAY_LIB_FRONT_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"
#include "lib/addr.h"
#include "maps/fronts.h"
#include "maps/ranges.h"

static __always_inline bool front_has_ports(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static __always_inline struct mg_front *front_exact(const union mg_addr *addr, __be16 port,
						    __u8 proto, __u8 scope)
{
	struct mg_front_key key = { .addr = *addr, .port = port, .proto = proto, .scope = scope };

	return bpf_map_lookup_elem(&mg_fronts, &key);
}

/* The node port, whichever node's address it is asked at: the caller knows that it is this node's,
 * or calls front_holds_at(). */
static __always_inline struct mg_front *front_node_port(__u32 family, __be16 port, __u8 proto,
							__u8 scope)
{
	union mg_addr any = {};

	if (family == 4)
		addr_set_v4(&any, 0);
	return front_exact(&any, port, proto, scope);
}

/* Does a node port hold at this address, or a host port? */
static __always_inline bool front_holds_at(const struct mg_front *front, const union mg_addr *addr)
{
	bool own = front->flags & MG_FRONT_OWN;
	__u16 other = own ? MG_ADDR_LOCAL : MG_ADDR_PORTLESS;
	struct mg_ident ident;

	ident_exact(addr, &ident);
	return (ident.flags & (MG_ADDR_HOST | other)) == (MG_ADDR_HOST | (own ? other : 0));
}

/* The frontend at an address; NULL: there is none. */
static __always_inline struct mg_front *front_find(const union mg_addr *addr, __be16 port,
						   __u8 proto, __u8 scope)
{
	struct mg_front *front = front_exact(addr, port, proto, scope);

	if (front)
		return front;
	front = front_node_port(addr_family(addr), port, proto, scope);
	return front && front_holds_at(front, addr) ? front : NULL;
}

/* May this client have it? */
static __always_inline bool front_open_to(const struct mg_front *front, const union mg_addr *client)
{
	struct mg_range_key key = { .len = MG_RANGE_BITS + MG_ADDR_BITS,
				    .set = front->set,
				    .addr = *client };

	return !(front->flags & MG_FRONT_SOURCES) || bpf_map_lookup_elem(&mg_ranges, &key);
}

#endif
