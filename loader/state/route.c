/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel routes that tell where pods are: each remote block by its node, own blocks into a
 * blackhole (the host routes of living pods are longer). Encapsulation is made in to_netdev; the
 * route gives host sockets their source and segment size.
 */
#include <string.h>

#include "base/inet.h"
#include "state/internal.h"

#define OVERHEAD_IPIP 20
#define OVERHEAD_VXLAN 50
#define OVERHEAD_OUTER6 20 /* an IPv6 outer header is that much longer */

static uint32_t flags_overhead(uint16_t flags, bool outer6)
{
	uint32_t bytes = 0;

	if (flags & MG_ADDR_IPIP)
		bytes = OVERHEAD_IPIP;
	if (flags & MG_ADDR_VXLAN)
		bytes = OVERHEAD_VXLAN;
	return bytes && outer6 ? bytes + OVERHEAD_OUTER6 : bytes;
}

static bool both_have(union mg_addr one, union mg_addr other)
{
	return !addr_is_zero(&one) && !addr_is_zero(&other);
}

/* As outer_is_6() of bpf/lib/route.h: over the inner family where both nodes have it, else over the
 * other one. */
static bool outer_is6(const struct peer *self, const struct peer *other, bool inner4)
{
	if (inner4)
		return !both_have(self->v4.addr, other->v4.addr);
	return both_have(self->v6.addr, other->v6.addr);
}

/* Towards nodes that have the addresses that this one has. */
uint32_t encap_overhead(const struct state *state, const struct mg_prefix *prefix)
{
	const struct peer *self = peer_self(state);
	bool outer6 = true;

	if (self)
		outer6 = outer_is6(self, self, prefix_is4(prefix));
	return flags_overhead(pool_flags(state, prefix), outer6);
}

uint32_t state_pod_mtu(const struct state *state, uint32_t uplink_mtu)
{
	uint32_t widest = 0;

	if (!uplink_mtu)
		uplink_mtu = 1500;
	for (const struct net *net = state->nets; net; net = net->hh.next) {
		uint32_t bytes = net->pool ? encap_overhead(state, &net->prefix) : 0;

		if (bytes > widest)
			widest = bytes;
	}
	return uplink_mtu > widest + 1280 ? uplink_mtu - widest : uplink_mtu;
}

/* Whether packets to this block travel encapsulated to the node: CrossSubnet asks for the subnets
 * of the packets' own family. */
static bool is_tunnelled(uint16_t flags, const struct peer *peer, bool inner4)
{
	bool same = inner4 ? peer->subnet4 : peer->subnet6;

	if (!(flags & (MG_ADDR_IPIP | MG_ADDR_VXLAN)))
		return false;
	return !(flags & MG_ADDR_CROSS) || !same;
}

static bool remote_route(const struct state *state, const struct net *net, const struct peer *self,
			 struct state_route *route)
{
	const struct peer *peer = state->places.v[net->place];
	bool is4 = prefix_is4(&net->prefix), outer6 = outer_is6(self, peer, is4);
	uint16_t flags = pool_flags(state, &net->prefix);
	bool tunnelled = is_tunnelled(flags, peer, is4);
	const struct mg_way *inner = is4 ? &peer->way4 : &peer->way6;
	const struct mg_way *outer = !tunnelled ? inner : outer6 ? &peer->way6 : &peer->way4;
	union mg_addr node_addr = is4 ? peer->v4.addr : peer->v6.addr;

	route->ifindex = inner->ifindex ? inner->ifindex : outer->ifindex;
	if (!route->ifindex)
		return false;
	route->src = is4 ? self->v4.addr : self->v6.addr;
	/* The next hop must be a neighbour, so that the packet reaches the device's egress. */
	if (inner->ifindex)
		route->gateway = addr_is_zero(&inner->gateway) ? node_addr : inner->gateway;
	route->mtu = outer->mtu;
	if (route->mtu && tunnelled)
		route->mtu -= flags_overhead(flags, outer6);
	return true;
}

void state_routes(const struct state *state,
		  void (*each)(void *ctx, const struct state_route *route), void *ctx)
{
	const struct peer *self = peer_self(state);

	for (const struct net *net = state->nets; self && net; net = net->hh.next) {
		struct state_route route = { .dst = net->prefix };

		if (!net->block || !place_number(state, net->place))
			continue;
		route.blackhole = net->place == self->place;
		if (route.blackhole || remote_route(state, net, self, &route))
			each(ctx, &route);
	}
}
