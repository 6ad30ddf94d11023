/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools that this node's tunnel addresses may come from.
 */
#include "base/inet.h"
#include "state/internal.h"

static bool fits(const struct ip_pool *pool, const struct state_tunnel *tunnel,
		 const struct labels *labels)
{
	enum encap_mode mode = tunnel->vxlan ? pool->vxlan : pool->ipip;

	return mode != ENCAP_NEVER && !pool->disabled && pool->uses & POOL_USE_TUNNEL &&
	       prefix_is4(&pool->cidr) == !tunnel->v6 && labels_match(labels, pool->nodes);
}

/* Does host-local give this node's addresses, out of its own range, and blocks none? A block for a
 * tunnel address alone would be cut from ranges that belong to other hosts. (A cluster that gives
 * ranges which nobody uses shows by its blocks.) */
static bool by_ranges(const struct state *state, const struct peer *self)
{
	bool range = false;

	for (const struct net *net = state->nets; net; net = net->hh.next) {
		if (!net->block || net->place != self->place)
			continue;
		if (!net->pod_cidr)
			return false;
		range = true;
	}
	return range;
}

void state_tunnel_pools(const struct state *state, const struct state_tunnel *tunnel,
			void (*each)(void *ctx, const struct object *pool), void *ctx)
{
	const struct peer *self = peer_self(state);

	if (!self || by_ranges(state, self))
		return;
	for (const struct net *net = state->nets; net; net = net->hh.next) {
		if (net->pool && fits(ip_pool_of(net->pool), tunnel, &self->object->labels))
			each(ctx, net->pool);
	}
}
