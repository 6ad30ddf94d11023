/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who may be the source of a packet from an uplink or a tunnel.
 */
#ifndef MARGAY_LIB_UPLINK_FROM_H
#define MARGAY_LIB_UPLINK_FROM_H

#include <stdbool.h>

#include "lib/addr.h"
#include "lib/decap.h"
#include "lib/packet.h"
#include "lib/relay.h"
#include "lib/uplink.h"

/* From a tunnel comes what lives behind the node whose it is, or what that node passed on. */
static __always_inline int check_tunnel(const struct packet *pkt, const struct mg_ident *from)
{
	int r = decap_source(pkt, from);

	return r && relay_trusted(pkt, from) ? 0 : r;
}

/* Verified once. from: what is known of the packet's source. */
__weak __noinline int check_from(struct packet *pkt, struct mg_ident *from)
{
	if (!pkt || !from)
		return -MG_DROP_INTERNAL;
	if (from->flags & MG_ADDR_LOCAL && from->flags & (MG_ADDR_POD | MG_ADDR_HOST))
		return -MG_DROP_LOCAL_CLAIMED;
	return pkt->flags & PKT_FROM_TUNNEL ? check_tunnel(pkt, from) : 0;
}

/* Is it a client's address of no node and no pool? */
static __always_inline bool is_outside(const union mg_addr *addr, const struct mg_ident *from)
{
	return !from->node && !(from->flags & (MG_ADDR_POD | MG_ADDR_HOST | MG_ADDR_ANY_POOL)) &&
	       addr_is_routed(addr);
}

/* Step for a packet to `to`. To a pod of this node another one may have carried it, of a client
 * from outside who asked that one for a service (PKT_CARRIED). Then the way back to the client is
 * the node's tunnel, whatever is known of the address. */
static __always_inline int check_carried(struct packet *pkt, struct mg_ident *from,
					 const struct mg_ident *to)
{
	int r = check_from(pkt, from);

	if (r != -MG_DROP_TUNNEL_SPOOF || !is_local_pod(to) || !is_outside(&pkt->src, from))
		return r;
	from->node = pkt->in_node;
	from->flags |= pkt->outer_kind == IPPROTO_UDP ? MG_ADDR_VXLAN : MG_ADDR_IPIP;
	pkt->flags |= PKT_CARRIED;
	return 0;
}

#endif
