/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: a number each, their own addresses, and the ways to them.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/inet.h"
#include "state/internal.h"

void state_restore_peer(struct state *state, uint16_t number, const struct mg_peer *row)
{
	struct former_peer *former;

	if (!number || (addr_is_zero(&row->ip4) && addr_is_zero(&row->ip6)))
		return;
	former = xcalloc(1, sizeof(*former));
	*former = (struct former_peer){ .number = number, .ip4 = row->ip4, .ip6 = row->ip6 };
	LL_PREPEND(state->former, former);
}

static bool same_host(const union mg_addr *a, const struct mg_prefix *b)
{
	union mg_addr addr = b->addr;

	return !addr_is_zero(a) && !addr_cmp(a, &addr);
}

/* The number a former agent gave, so that flows that remember it go on; else the lowest that
 * neither a node nor a former one has. */
static uint16_t number_new(struct state *state, const struct node *node)
{
	struct former_peer *former, *next;
	bool taken = true;
	uint16_t number;

	LL_FOREACH_SAFE(state->former, former, next) {
		if (!same_host(&former->ip4, &node->v4) && !same_host(&former->ip6, &node->v6))
			continue;
		number = former->number;
		LL_DELETE(state->former, former);
		free(former);
		if (!state->by_number[number])
			return number;
	}
	for (number = 1; number && taken; number++) {
		taken = state->by_number[number];
		LL_FOREACH(state->former, former)
			taken |= former->number == number;
		if (!taken)
			return number;
	}
	return 0;
}

static struct peer *peer_find(const struct state *state, const char *name)
{
	struct peer *peer;

	HASH_FIND_STR(state->peers, name, peer);
	return peer;
}

uint16_t peer_number(const struct state *state, const char *name)
{
	const struct peer *peer = peer_find(state, name);

	return peer ? peer->number : 0;
}

const struct peer *peer_self(const struct state *state)
{
	return peer_find(state, state->node);
}

#define NODE_ADDRS_MAX 64

static size_t add_addr(union mg_addr *addrs, size_t count, const union mg_addr *addr)
{
	if (addr_is_zero(addr) || count == NODE_ADDRS_MAX)
		return count;
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&addrs[i], addr))
			return count;
	}
	addrs[count] = *addr;
	return count + 1;
}

static size_t node_addrs(const struct node *node, union mg_addr *addrs)
{
	union mg_addr v4 = node->v4.addr, v6 = node->v6.addr;
	size_t count = 0;

	count = add_addr(addrs, count, &v4);
	count = add_addr(addrs, count, &v6);
	for (size_t i = 0; i < node->addr_count; i++)
		count = add_addr(addrs, count, &node->addrs[i]);
	count = add_addr(addrs, count, &node->ipip4);
	count = add_addr(addrs, count, &node->ipip6);
	count = add_addr(addrs, count, &node->vxlan4);
	return add_addr(addrs, count, &node->vxlan6);
}

static void claim_addrs(struct state *state, struct peer *peer, const struct node *node)
{
	static const struct engine_facts outside = { .kind = ENGINE_OUTSIDE };
	bool self = !strcmp(peer->name, state->node);
	struct claim claim = { .node = peer->number, .flags = MG_ADDR_HOST };
	union mg_addr addrs[NODE_ADDRS_MAX];
	size_t count = node ? node_addrs(node, addrs) : 0;

	if (self)
		claim.flags |= MG_ADDR_LOCAL;
	for (size_t i = 0; i < peer->addr_count; i++) {
		claim_del(state, &peer->addrs[i], &claim);
		if (!address_find(state, &peer->addrs[i]))
			engine_addr_del(state->engine, &peer->addrs[i]);
	}
	free(peer->addrs);
	peer->addrs = xcalloc(count, sizeof(*addrs));
	peer->addr_count = count;
	for (size_t i = 0; i < count; i++) {
		peer->addrs[i] = addrs[i];
		claim_set(state, &addrs[i], &claim);
		engine_addr_set(state->engine, &addrs[i], &outside);
	}
}

/* Pods that named the node before its object was known have number 0: name it in their rows. */
static void renumber(struct state *state)
{
	struct owner *owner, *next;

	HASH_ITER(hh, state->owners, owner, next)
		owner_refresh(state, owner);
	blocks_renumber(state);
}

void peer_set(struct state *state, const struct object *object)
{
	const struct node *node = node_of(object);
	struct peer *peer = peer_find(state, object->name);
	bool fresh = !peer;

	if (fresh) {
		peer = xcalloc(1, sizeof(*peer));
		peer->name = xstrdup(object->name);
		peer->number = number_new(state, node);
		HASH_ADD_KEYPTR(hh, state->peers, peer->name, strlen(peer->name), peer);
		if (peer->number)
			state->by_number[peer->number] = peer;
	}
	object_unref((struct object *)peer->object);
	peer->object = object_ref(object);
	claim_addrs(state, peer, node);
	pod_cidrs_set(state, object);
	if (fresh)
		renumber(state);
}

static void peer_free(struct state *state, struct peer *peer)
{
	HASH_DEL(state->peers, peer);
	if (peer->number)
		state->by_number[peer->number] = NULL;
	object_unref((struct object *)peer->object);
	free(peer->addrs);
	free(peer->name);
	free(peer);
}

void peer_del(struct state *state, const char *name)
{
	struct peer *peer = peer_find(state, name);

	if (!peer)
		return;
	claim_addrs(state, peer, NULL);
	pod_cidrs_del(state, name);
	peer_free(state, peer);
	renumber(state);
}

void peers_free(struct state *state)
{
	struct peer *peer, *peer_next;
	struct former_peer *former, *next;

	HASH_ITER(hh, state->peers, peer, peer_next)
		peer_free(state, peer);
	LL_FOREACH_SAFE(state->former, former, next)
		free(former);
}

void state_each_peer(const struct state *state, void (*each)(void *ctx, const struct state_peer *),
		     void *ctx)
{
	for (const struct peer *peer = state->peers; peer; peer = peer->hh.next) {
		const struct node *node = node_of(peer->object);
		struct state_peer out = { .number = peer->number,
					  .self = !strcmp(peer->name, state->node),
					  .name = peer->name,
					  .ip4 = node->v4.addr,
					  .ip6 = node->v6.addr };

		if (peer->number)
			each(ctx, &out);
	}
}

const char *state_peer_name(const struct state *state, uint16_t number)
{
	const struct peer *peer = state->by_number[number];

	return peer ? peer->name : NULL;
}

void state_way_set(struct state *state, uint16_t number, int family, const struct mg_way *way,
		   bool same_subnet)
{
	struct peer *peer = state->by_number[number];

	if (!peer)
		return;
	if (family == 4) {
		peer->way4 = *way;
		peer->subnet4 = same_subnet;
	} else {
		peer->way6 = *way;
		peer->subnet6 = same_subnet;
	}
}

int state_peer_row(const struct state *state, uint16_t number, struct mg_peer *ret_row)
{
	const struct peer *peer = state->by_number[number];
	const struct node *node = peer ? node_of(peer->object) : NULL;

	memset(ret_row, 0, sizeof(*ret_row));
	if (!node)
		return -ENOENT;
	ret_row->ip4 = node->v4.addr;
	ret_row->ip6 = node->v6.addr;
	ret_row->way4 = peer->way4;
	ret_row->way6 = peer->way6;
	ret_row->flags = MG_PEER_KNOWN | (peer->subnet4 ? MG_PEER_SUBNET4 : 0) |
			 (peer->subnet6 ? MG_PEER_SUBNET6 : 0);
	memcpy(ret_row->vtep_mac, node->vxlan_mac4, sizeof(ret_row->vtep_mac));
	memcpy(ret_row->vtep_mac6, node->vxlan_mac6, sizeof(ret_row->vtep_mac6));
	return 0;
}
