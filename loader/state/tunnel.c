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

void state_tunnel_pools(const struct state *state, const struct state_tunnel *tunnel,
			void (*each)(void *ctx, const struct object *pool), void *ctx)
{
	const struct peer *self = peer_self(state);

	for (const struct net *net = state->nets; self && net; net = net->hh.next) {
		if (net->pool && fits(ip_pool_of(net->pool), tunnel, &self->object->labels))
			each(ctx, net->pool);
	}
}
