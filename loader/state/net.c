/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes: pools, blocks and podCIDRs, and what they say of the addresses and nets inside.
 */
#include <string.h>

#include "base/inet.h"
#include "state/internal.h"

static struct net *net_find(const struct state *state, const struct mg_prefix *prefix)
{
	struct net *net;

	HASH_FIND(hh, state->nets, prefix, sizeof(*prefix), net);
	return net;
}

static struct net *net_get(struct state *state, const struct mg_prefix *prefix)
{
	struct net *net = net_find(state, prefix);

	if (net)
		return net;
	net = xcalloc(1, sizeof(*net));
	net->prefix = *prefix;
	HASH_ADD(hh, state->nets, prefix, sizeof(net->prefix), net);
	state->lengths[prefix->len]++;
	return net;
}

static enum engine_net engine_kind(const struct net *net)
{
	if (!net->pool)
		return ENGINE_NET_INHERIT;
	return ip_pool_of(net->pool)->disabled ? ENGINE_NET_WORLD : ENGINE_NET_UNKNOWN;
}

/* After a change of what it holds: the engine and the row follow. */
static void net_changed(struct state *state, struct net *net)
{
	touch(state, &net->prefix, true);
	if (net->pool || net->block) {
		engine_net_set(state->engine, &net->prefix, engine_kind(net));
		return;
	}
	engine_net_del(state->engine, &net->prefix);
	state->lengths[net->prefix.len]--;
	HASH_DEL(state->nets, net);
	free(net);
}

/* A pool's flags stand in every row inside it. */
static void touch_inside(struct state *state, const struct mg_prefix *prefix)
{
	index_for_each(&state->addrs, word)
	{
		const uintptr_t place = word & (ITEM_ADDRS_MAX - 1);
		const union mg_addr *addr = &((const struct item *)(word - place))->addr[place];

		if (prefix_contains(prefix, addr))
			touch_addr(state, addr);
	}
	for (const struct net *net = state->nets; net; net = net->hh.next) {
		if (net->prefix.len >= prefix->len && prefix_overlaps(prefix, &net->prefix))
			touch(state, &net->prefix, true);
	}
}

/* --- pools --------------------------------------------------------------------------------- */

static struct net *pool_named(const struct state *state, const char *name)
{
	for (struct net *net = state->nets; net; net = net->hh.next) {
		if (net->pool && !strcmp(net->pool->name, name))
			return net;
	}
	return NULL;
}

const struct object *state_pool(const struct state *state, const char *name)
{
	const struct net *net = pool_named(state, name);

	return net ? net->pool : NULL;
}

void pool_del(struct state *state, const char *name)
{
	struct net *net = pool_named(state, name);
	struct mg_prefix prefix;

	if (!net)
		return;
	prefix = net->prefix;
	object_unref((struct object *)net->pool);
	net->pool = NULL;
	net_changed(state, net);
	touch_inside(state, &prefix);
}

void pool_set(struct state *state, const struct object *object)
{
	struct mg_prefix prefix = ip_pool_of(object)->cidr;
	struct net *net = pool_named(state, object->name);

	if (net && memcmp(&net->prefix, &prefix, sizeof(prefix)))
		pool_del(state, object->name);
	net = net_get(state, &prefix);
	object_unref((struct object *)net->pool);
	net->pool = object_ref(object);
	net_changed(state, net);
	touch_inside(state, &prefix);
}

/* The longest entry around prefix for which pick() holds. */
static const struct net *around(const struct state *state, const struct mg_prefix *prefix,
				bool (*pick)(const struct state *, const struct net *))
{
	struct mg_prefix probe = *prefix;

	for (unsigned int len = prefix->len + 1; len-- > 0;) {
		const struct net *net;

		if (!state->lengths[len])
			continue;
		probe.len = len;
		probe.addr = prefix->addr;
		prefix_mask(&probe);
		net = net_find(state, &probe);
		if (net && pick(state, net))
			return net;
	}
	return NULL;
}

static bool is_pool(const struct state *state, const struct net *net)
{
	(void)state;
	return net->pool;
}

static bool has_node(const struct state *state, const struct net *net)
{
	return net->block && place_number(state, net->place);
}

const struct net *block_around(const struct state *state, const struct mg_prefix *prefix)
{
	return around(state, prefix, has_node);
}

uint16_t pool_flags(const struct state *state, const struct mg_prefix *prefix)
{
	const struct net *net = around(state, prefix, is_pool);
	const struct ip_pool *pool = net ? ip_pool_of(net->pool) : NULL;
	uint16_t flags = MG_ADDR_ANY_POOL;

	if (!pool)
		return 0;
	if (!pool->disabled)
		flags |= MG_ADDR_POOL;
	if (pool->nat_outgoing)
		flags |= MG_ADDR_NAT_OUT;
	if (pool->ipip != ENCAP_NEVER)
		flags |= MG_ADDR_IPIP;
	if (pool->vxlan != ENCAP_NEVER)
		flags |= MG_ADDR_VXLAN;
	if (pool->ipip == ENCAP_CROSS_SUBNET || pool->vxlan == ENCAP_CROSS_SUBNET)
		flags |= MG_ADDR_CROSS;
	return flags;
}

/* --- blocks and podCIDRs ------------------------------------------------------------------- */

#define HOST_AFFINITY "host:"

static const char *block_node(const struct ipam_block *block)
{
	if (strncmp(block->affinity, HOST_AFFINITY, strlen(HOST_AFFINITY)))
		return "";
	return block->affinity + strlen(HOST_AFFINITY);
}

/* name NULL: no block has this prefix any more. */
static void block_put(struct state *state, struct net *net, const char *name, const char *node)
{
	uint16_t place = name ? place_of(state, node) : 0;
	char *before = net->block;

	place_hold(state, place);
	place_drop(state, net->place);
	net->place = place;
	net->block = name ? xstrdup(name) : NULL;
	free(before);
	net_changed(state, net);
}

static struct net *block_named(const struct state *state, const char *name)
{
	for (struct net *net = state->nets; net; net = net->hh.next) {
		if (net->block && !net->pod_cidr && !strcmp(net->block, name))
			return net;
	}
	return NULL;
}

void block_del(struct state *state, const char *name)
{
	struct net *net = block_named(state, name);

	if (net)
		block_put(state, net, NULL, NULL);
}

void block_set(struct state *state, const struct object *object)
{
	const struct ipam_block *block = ipam_block_of(object);
	struct net *net;

	if (block->deleted) {
		block_del(state, object->name);
		return;
	}
	net = net_get(state, &block->cidr);
	net->pod_cidr = false;
	block_put(state, net, object->name, block_node(block));
}

void pod_cidrs_del(struct state *state, const char *node)
{
	struct net *net, *next;

	HASH_ITER(hh, state->nets, net, next) {
		if (net->block && net->pod_cidr && !strcmp(net->block, node))
			block_put(state, net, NULL, NULL);
	}
}

void pod_cidrs_set(struct state *state, const struct node *node)
{
	pod_cidrs_del(state, node->base.name);
	for (size_t i = 0; i < node->cidr_count; i++) {
		struct net *net = net_get(state, &node->pod_cidrs[i]);

		/* An IPAM block of exactly this prefix knows better. */
		if (net->block && !net->pod_cidr)
			continue;
		net->pod_cidr = true;
		block_put(state, net, node->base.name, node->base.name);
	}
}

void nets_renumbered(struct state *state, uint16_t place)
{
	for (const struct net *net = state->nets; net; net = net->hh.next) {
		if (net->place == place)
			touch(state, &net->prefix, true);
	}
}

void nets_free(struct state *state)
{
	struct net *net, *next;

	HASH_ITER(hh, state->nets, net, next) {
		HASH_DEL(state->nets, net);
		object_unref((struct object *)net->pool);
		free(net->block);
		free(net);
	}
}

/* --- rows ---------------------------------------------------------------------------------- */

void state_net_row(const struct state *state, const struct mg_prefix *prefix, uint16_t identity,
		   struct mg_ident *ret_row, bool *ret_wanted)
{
	const struct net *block = block_around(state, prefix);
	const struct peer *self = peer_self(state);

	*ret_row = (struct mg_ident){ .identity = identity,
				      .slot = (uint16_t)prefix->len,
				      .flags = pool_flags(state, prefix) };
	if (block) {
		ret_row->node = place_number(state, block->place);
		ret_row->flags |= MG_ADDR_BLOCK;
		if (self && self->place == block->place)
			ret_row->flags |= MG_ADDR_LOCAL;
	}
	*ret_wanted = net_find(state, prefix) != NULL;
}
