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

const struct peer *peer_self(const struct state *state)
{
	const struct peer *peer = peer_find(state, state->node);

	return peer && peer->known ? peer : NULL;
}

/* --- places -------------------------------------------------------------------------------- */

static struct peer *peer_get(struct state *state, const char *name)
{
	struct peer *peer = peer_find(state, name);
	size_t place = 1;

	if (peer)
		return peer;
	if (!state->places.n)
		vec_push(&state->places, NULL);
	while (place < state->places.n && state->places.v[place])
		place++;
	if (place > UINT16_MAX)
		return NULL;
	if (place == state->places.n)
		vec_push(&state->places, NULL);
	peer = xcalloc(1, sizeof(*peer));
	peer->name = xstrdup(name);
	peer->place = (uint16_t)place;
	state->places.v[place] = peer;
	HASH_ADD_KEYPTR(hh, state->peers, peer->name, strlen(peer->name), peer);
	return peer;
}

static void peer_forget(struct state *state, struct peer *peer)
{
	if (peer->known || peer->uses)
		return;
	HASH_DEL(state->peers, peer);
	state->places.v[peer->place] = NULL;
	object_unref((struct object *)peer->object);
	vec_done(&peer->items);
	free(peer->name);
	free(peer);
}

uint16_t place_of(struct state *state, const char *name)
{
	const struct peer *peer = *name ? peer_get(state, name) : NULL;

	return peer ? peer->place : 0;
}

void place_hold(struct state *state, uint16_t place)
{
	if (place)
		state->places.v[place]->uses++;
}

void place_drop(struct state *state, uint16_t place)
{
	if (!place)
		return;
	state->places.v[place]->uses--;
	peer_forget(state, state->places.v[place]);
}

uint16_t place_number(const struct state *state, uint16_t place)
{
	return place ? state->places.v[place]->number : 0;
}

/* --- node ports ---------------------------------------------------------------------------- */

bool peer_has_ports(const struct state *state, uint16_t place, const union mg_addr *addr)
{
	const struct felix_nets *nets = &state->params.node_port_addresses;
	const struct peer *peer = place ? state->places.v[place] : NULL;
	union mg_addr first;

	if (nets->primary && peer) {
		first = addr_is4(addr) ? peer->v4.addr : peer->v6.addr;
		return !addr_cmp(&first, addr);
	}
	for (size_t i = 0; i < nets->count; i++) {
		if (prefix_is4(&nets->v[i]) == addr_is4(addr) && prefix_contains(&nets->v[i], addr))
			return true;
	}
	return !nets->count;
}

void peers_touch(struct state *state)
{
	for (const struct peer *peer = state->peers; peer; peer = peer->hh.next) {
		for (size_t i = 0; i < peer->items.n; i++)
			touch_addr(state, &peer->items.v[i]->addr[0]);
	}
}

/* --- objects ------------------------------------------------------------------------------- */

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

/* The node's addresses are these from now on; node NULL: it has none. */
static void claim_addrs(struct state *state, struct peer *peer, const struct node *node)
{
	struct item_args args = { .flags = ITEM_NODE, .place = peer->place, .addr_count = 1 };
	union mg_addr addrs[2 * NODE_ADDRS_MAX];
	size_t count = node ? node_addrs(node, addrs) : 0, all = count;

	if (!strcmp(peer->name, state->node))
		args.flags |= ITEM_HERE;
	for (size_t i = 0; i < peer->items.n; i++) {
		addrs[all++] = peer->items.v[i]->addr[0];
		item_del(state, peer->items.v[i]);
	}
	peer->items.n = 0;
	for (size_t i = 0; i < count; i++) {
		args.addrs = &addrs[i];
		vec_push(&peer->items, item_add(state, &args));
	}
	for (size_t i = 0; i < all; i++) {
		touch_addr(state, &addrs[i]);
		address_tell(state, &addrs[i]);
	}
}

/* What named the node before its object was known has number 0: name it in the rows. */
static void renumbered(struct state *state, const struct peer *peer)
{
	if (!peer->uses)
		return;
	index_for_each(&state->addrs, word)
	{
		const uintptr_t place = word & (ITEM_ADDRS_MAX - 1);
		const struct item *item = (const struct item *)(word - place);

		if (!(item->flags & ITEM_ENDPOINT) && item->place == peer->place)
			touch_addr(state, &item->addr[place]);
	}
	nets_renumbered(state, peer->place);
}

/* Endpoints of this node have its number too. */
static void renumbered_self(struct state *state, const struct peer *peer)
{
	if (strcmp(peer->name, state->node))
		return;
	for (const struct local_endpoint *ep = state->endpoints; ep; ep = ep->hh.next) {
		for (unsigned int i = 0; i < ep->item->addr_count; i++)
			touch_addr(state, &ep->item->addr[i]);
	}
}

static void peer_fill(const struct state *state, struct peer *peer, const struct node *node)
{
	if (!strcmp(peer->name, state->node)) {
		object_unref((struct object *)peer->object);
		peer->object = object_ref(&node->base);
	}
	peer->known = true;
	peer->v4 = node->v4;
	peer->v6 = node->v6;
	memcpy(peer->mac4, node->vxlan_mac4, sizeof(peer->mac4));
	memcpy(peer->mac6, node->vxlan_mac6, sizeof(peer->mac6));
}

void peer_set(struct state *state, const struct node *node)
{
	struct peer *peer = peer_get(state, node->base.name);
	bool fresh;

	if (!peer)
		return;
	fresh = !peer->known;
	if (fresh) {
		peer->number = number_new(state, node);
		if (peer->number)
			state->by_number[peer->number] = peer;
	}
	peer_fill(state, peer, node);
	claim_addrs(state, peer, node);
	pod_cidrs_set(state, node);
	if (fresh) {
		renumbered(state, peer);
		renumbered_self(state, peer);
	}
}

void peer_del(struct state *state, const char *name)
{
	struct peer *peer = peer_find(state, name);

	if (!peer || !peer->known)
		return;
	claim_addrs(state, peer, NULL);
	if (peer->number)
		state->by_number[peer->number] = NULL;
	peer->number = 0;
	renumbered(state, peer);
	renumbered_self(state, peer);
	pod_cidrs_del(state, name);
	peer->known = false;
	object_unref((struct object *)peer->object);
	peer->object = NULL;
	peer->way4 = peer->way6 = (struct mg_way){ 0 };
	peer->subnet4 = peer->subnet6 = false;
	peer_forget(state, peer);
}

void peers_leave(struct state *state)
{
	for (struct peer *peer = state->peers; peer; peer = peer->hh.next) {
		for (size_t i = 0; i < peer->items.n; i++)
			item_del(state, peer->items.v[i]);
		peer->items.n = 0;
	}
}

void peers_free(struct state *state)
{
	struct peer *peer, *peer_next;
	struct former_peer *former, *next;

	HASH_ITER(hh, state->peers, peer, peer_next) {
		peer->known = false;
		peer_forget(state, peer);
	}
	LL_FOREACH_SAFE(state->former, former, next)
		free(former);
}

void state_each_peer(const struct state *state, void (*each)(void *ctx, const struct state_peer *),
		     void *ctx)
{
	for (const struct peer *peer = state->peers; peer; peer = peer->hh.next) {
		struct state_peer out = { .number = peer->number,
					  .self = !strcmp(peer->name, state->node),
					  .name = peer->name,
					  .ip4 = peer->v4.addr,
					  .ip6 = peer->v6.addr };

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

	memset(ret_row, 0, sizeof(*ret_row));
	if (!peer)
		return -ENOENT;
	ret_row->ip4 = peer->v4.addr;
	ret_row->ip6 = peer->v6.addr;
	ret_row->way4 = peer->way4;
	ret_row->way6 = peer->way6;
	ret_row->flags = MG_PEER_KNOWN | (peer->subnet4 ? MG_PEER_SUBNET4 : 0) |
			 (peer->subnet6 ? MG_PEER_SUBNET6 : 0);
	memcpy(ret_row->vtep_mac, peer->mac4, sizeof(ret_row->vtep_mac));
	memcpy(ret_row->vtep_mac6, peer->mac6, sizeof(ret_row->vtep_mac6));
	return 0;
}
