/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: their life, and the ways to them by owner, by name of a WorkloadEndpoint and by address.
 */
#include <string.h>

#include "base/inet.h"
#include "policy/hmap.h"
#include "state/internal.h"

static const char *wep_name(const struct item *item)
{
	const char *name = item_name(item);

	return name + strlen(name) + 1;
}

static size_t item_size(const struct item *item)
{
	size_t size = sizeof(*item) + item->addr_count * sizeof(item->addr[0]);

	if (item->flags & ITEM_NODE)
		return size;
	size += strlen(item_name(item)) + 1;
	return item->flags & ITEM_WEP ? size + strlen(wep_name(item)) + 1 : size;
}

/* --- indexes ------------------------------------------------------------------------------- */

static uint32_t name_hash(const struct space *space, const char *name)
{
	return hash_text(name, hash_u64((uintptr_t)space, 0));
}

static uint32_t owner_hash(const void *context, uintptr_t word)
{
	const struct item *item = (const struct item *)word;

	(void)context;
	return name_hash(item->space, item_name(item));
}

static uint32_t wep_hash(const void *context, uintptr_t word)
{
	const struct item *item = (const struct item *)word;

	(void)context;
	return name_hash(item->space, wep_name(item));
}

static uint32_t addr_hash(const union mg_addr *addr)
{
	return hash_bytes(addr, sizeof(*addr), 0);
}

static uint32_t addr_word_hash(const void *context, uintptr_t word)
{
	const uintptr_t place = word & (ITEM_ADDRS_MAX - 1);

	(void)context;
	return addr_hash(&((const struct item *)(word - place))->addr[place]);
}

void items_init(struct state *state)
{
	state->owners.hash = owner_hash;
	state->weps.hash = wep_hash;
	state->addrs.hash = addr_word_hash;
}

struct item *item_owner(const struct state *state, const struct space *space, const char *name)
{
	index_for_each_of(&state->owners, name_hash(space, name), word)
	{
		struct item *item = (struct item *)word;

		if (item->space == space && !strcmp(item_name(item), name))
			return item;
	}
	return NULL;
}

struct item *item_wep(const struct state *state, const struct space *space, const char *name)
{
	index_for_each_of(&state->weps, name_hash(space, name), word)
	{
		struct item *item = (struct item *)word;

		if (item->space == space && !strcmp(wep_name(item), name))
			return item;
	}
	return NULL;
}

const struct item *item_of_flag(const struct item *ring, unsigned int flag)
{
	const struct item *oldest = NULL;

	ring_for_each(ring, item)
	{
		if (item->flags & flag && !(item->flags & ITEM_MORE) &&
		    (!oldest || (int32_t)(item->seq - oldest->seq) < 0))
			oldest = item;
	}
	return oldest;
}

/* --- life ---------------------------------------------------------------------------------- */

static struct item *item_make(struct state *state, const struct item_args *args)
{
	size_t owner = args->owner ? strlen(args->owner) + 1 : 0;
	size_t wep = args->wep ? strlen(args->wep) + 1 : 0;
	struct item *item =
		slab_alloc(&state->slab,
			   sizeof(*item) + args->addr_count * sizeof(item->addr[0]) + owner + wep);

	item->space = args->space;
	item->flags = (uint8_t)args->flags;
	item->place = args->place;
	item->addr_count = (uint8_t)args->addr_count;
	item->seq = ++state->seq;
	if (args->flags & (ITEM_POD | ITEM_WEP))
		place_hold(state, args->place);
	item->profile = args->profile ? profile_get(state, args->profile) : NULL;
	if (args->addr_count)
		memcpy(item->addr, args->addrs, args->addr_count * sizeof(item->addr[0]));
	if (owner)
		memcpy((char *)item_name(item), args->owner, owner);
	if (wep)
		memcpy((char *)item_name(item) + owner, args->wep, wep);
	return item;
}

static void ring_join(struct state *state, struct item *item)
{
	struct item *other = item_owner(state, item->space, item_name(item));

	item->space->items++;
	if (!other) {
		item->ring = item;
		index_add(&state->owners, (uintptr_t)item);
		return;
	}
	item->ring = other->ring;
	other->ring = item;
}

static void ring_leave(struct state *state, struct item *item)
{
	struct item *before = item;

	item->space->items--;
	while (before->ring != item)
		before = before->ring;
	if (item_owner(state, item->space, item_name(item)) == item) {
		if (before == item)
			index_del(&state->owners, (uintptr_t)item);
		else
			index_replace(&state->owners, (uintptr_t)item, (uintptr_t)before);
	}
	before->ring = item->ring;
}

static bool is_indexed_wep(const struct item *item)
{
	return (item->flags & (ITEM_WEP | ITEM_MORE)) == ITEM_WEP;
}

struct item *item_add(struct state *state, const struct item_args *args)
{
	struct item *item = item_make(state, args);

	for (uintptr_t i = 0; i < item->addr_count; i++)
		index_add(&state->addrs, (uintptr_t)item + i);
	if (is_indexed_wep(item))
		index_add(&state->weps, (uintptr_t)item);
	if (item->space)
		ring_join(state, item);
	return item;
}

static void item_free(struct state *state, struct item *item)
{
	if (item->flags & (ITEM_POD | ITEM_WEP))
		place_drop(state, item->place);
	profile_unref(state, item->profile);
	slab_free(&state->slab, item, item_size(item));
}

void item_del(struct state *state, struct item *item)
{
	for (uintptr_t i = 0; i < item->addr_count; i++)
		index_del(&state->addrs, (uintptr_t)item + i);
	if (is_indexed_wep(item))
		index_del(&state->weps, (uintptr_t)item);
	if (item->space)
		ring_leave(state, item);
	item_free(state, item);
}

static void ring_free(struct state *state, struct item *first)
{
	struct item *item = first, *next;

	do {
		next = item->ring;
		item_free(state, item);
		item = next;
	} while (item != first);
}

/* All but nodes' items, which their peers free. */
void items_free(struct state *state)
{
	index_for_each(&state->owners, word) ring_free(state, (struct item *)word);
	index_done(&state->owners);
	index_done(&state->weps);
}
