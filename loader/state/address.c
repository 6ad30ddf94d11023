/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which address. Items may name one address for a while (a pod's address given to another
 * before its old object is gone); the best one counts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/inet.h"
#include "policy/hmap.h"
#include "state/internal.h"

#define TOUCHED_FEW 1024 /* sorted when there are more */

/* --- what is to be written ----------------------------------------------------------------- */

static int touch_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct touch));
}

/* Each once, where many came. */
static void touched_tidy(struct state *state)
{
	struct touch *v = state->touched.v;
	size_t kept = 0;

	qsort(v, state->touched.n, sizeof(*v), touch_cmp);
	for (size_t i = 0; i < state->touched.n; i++)
		if (!kept || touch_cmp(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	state->touched.n = kept;
}

void touch(struct state *state, const struct mg_prefix *prefix, bool net)
{
	struct touch entry;

	/* memcmp looks at padding too. */
	memset(&entry, 0, sizeof(entry));
	entry.prefix = *prefix;
	entry.net = net;
	if (state->touched.n && !touch_cmp(&state->touched.v[state->touched.n - 1], &entry))
		return;
	if (state->touched.n == state->touched.cap && state->touched.n >= TOUCHED_FEW)
		touched_tidy(state);
	vec_push(&state->touched, entry);
}

void touch_addr(struct state *state, const union mg_addr *addr)
{
	struct mg_prefix prefix = host_prefix(addr);

	touch(state, &prefix, false);
}

void state_touched(const struct state *state,
		   void (*each)(void *ctx, const struct mg_prefix *prefix, bool net), void *ctx)
{
	for (size_t i = 0; i < state->touched.n; i++)
		each(ctx, &state->touched.v[i].prefix, state->touched.v[i].net);
}

void state_touched_done(struct state *state)
{
	state->touched.n = 0;
	if (state->touched.cap > TOUCHED_FEW)
		vec_done(&state->touched);
}

void state_touch_all(struct state *state)
{
	index_for_each(&state->addrs, word)
	{
		const uintptr_t place = word & (ITEM_ADDRS_MAX - 1);

		touch_addr(state, &((const struct item *)(word - place))->addr[place]);
	}
	for (const struct net *net = state->nets; net; net = net->hh.next)
		touch(state, &net->prefix, true);
}

/* --- who has it ---------------------------------------------------------------------------- */

bool item_counts(const struct item *item)
{
	unsigned int ring = 0;

	if (item->flags & ITEM_NODE)
		return true;
	ring_for_each(item, other) ring |= other->flags;
	if (ring & ITEM_GONE)
		return false;
	if (item->flags & ITEM_ENDPOINT)
		return true;
	if (item->flags & ITEM_HERE)
		return false;
	return !(item->flags & ITEM_POD) || !(ring & ITEM_WEP);
}

/* Of two that count; here: both or neither are this node's. */
static bool is_better(const struct item *a, const struct item *b)
{
	bool here_a = a->flags & ITEM_HERE, here_b = b->flags & ITEM_HERE;

	return here_a != here_b ? here_a : (int32_t)(a->seq - b->seq) > 0;
}

const struct item *address_best(const struct state *state, const union mg_addr *addr)
{
	const struct item *best = NULL;

	index_for_each_of(&state->addrs, hash_bytes(addr, sizeof(*addr), 0), word)
	{
		const uintptr_t place = word & (ITEM_ADDRS_MAX - 1);
		const struct item *item = (const struct item *)(word - place);

		if (!addr_cmp(&item->addr[place], addr) && item_counts(item) &&
		    (!best || is_better(item, best)))
			best = item;
	}
	return best;
}

static void put_owner(const struct state *state, const struct item *item, struct mg_ident *row)
{
	const struct peer *self = peer_self(state);
	uint16_t here = item->flags & ITEM_HERE ? MG_ADDR_LOCAL : 0;

	if (item->flags & ITEM_ENDPOINT) {
		row->node = self ? self->number : 0;
		row->slot = item->place;
		row->flags = MG_ADDR_POD | here;
	} else {
		row->node = place_number(state, item->place);
		row->flags =
			(uint16_t)(item->flags & ITEM_NODE ? MG_ADDR_HOST | here : MG_ADDR_POD);
		if (item->flags & ITEM_NODE && !peer_has_ports(state, item->place, &item->addr[0]))
			row->flags |= MG_ADDR_PORTLESS;
	}
}

int state_addr_row(const struct state *state, const union mg_addr *addr, uint16_t identity,
		   struct mg_ident *ret_row)
{
	const struct item *item = address_best(state, addr);
	struct mg_prefix prefix = host_prefix(addr);

	if (!item)
		return -ENOENT;
	memset(ret_row, 0, sizeof(*ret_row));
	ret_row->identity = identity;
	put_owner(state, item, ret_row);
	ret_row->flags |= pool_flags(state, &prefix);
	return 0;
}

char *state_addr_owner(const struct state *state, const union mg_addr *addr)
{
	const struct item *item = address_best(state, addr);

	return item && item->space ? xasprintf("%s/%s", item->space->name, item_name(item)) : NULL;
}
