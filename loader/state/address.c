/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which address. Claims may overlap for a while (a pod's address given to another before
 * its old object is gone); the best one counts.
 */
#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "state/internal.h"

void touch(struct state *state, const struct mg_prefix *prefix, bool net)
{
	struct touch *entry, probe = { .key = { .prefix = *prefix, .net = net } };

	HASH_FIND(hh, state->touched, &probe.key, sizeof(probe.key), entry);
	if (entry)
		return;
	entry = xcalloc(1, sizeof(*entry));
	entry->key = probe.key;
	HASH_ADD(hh, state->touched, key, sizeof(entry->key), entry);
}

void touch_addr(struct state *state, const union mg_addr *addr)
{
	struct mg_prefix prefix = host_prefix(addr);

	touch(state, &prefix, false);
}

const struct address *address_find(const struct state *state, const union mg_addr *addr)
{
	struct address *address;

	HASH_FIND(hh, state->addresses, addr, sizeof(*addr), address);
	return address;
}

const struct claim *claim_best(const struct address *address)
{
	const struct claim *best = NULL;

	for (unsigned int i = 0; i < address->claims; i++) {
		const struct claim *claim = &address->claim[i];

		if (!best || (claim->flags & MG_ADDR_LOCAL) || !(best->flags & MG_ADDR_LOCAL))
			best = claim;
	}
	return best;
}

static int claim_index(const struct address *address, const struct claim *claim)
{
	for (unsigned int i = 0; i < address->claims; i++) {
		const struct claim *have = &address->claim[i];

		if (have->owner == claim->owner && (have->owner || have->node == claim->node))
			return (int)i;
	}
	return -1;
}

static struct address *address_get(struct state *state, const union mg_addr *addr)
{
	struct address *address;

	HASH_FIND(hh, state->addresses, addr, sizeof(*addr), address);
	if (address)
		return address;
	address = xcalloc(1, sizeof(*address));
	address->addr = *addr;
	HASH_ADD(hh, state->addresses, addr, sizeof(address->addr), address);
	return address;
}

void claim_set(struct state *state, const union mg_addr *addr, const struct claim *claim)
{
	struct address *address = address_get(state, addr);
	int index = claim_index(address, claim);

	if (index >= 0 && !memcmp(&address->claim[index], claim, sizeof(*claim)))
		return;
	if (index < 0 && address->claims == CLAIMS_MAX)
		return;
	if (index < 0)
		index = (int)address->claims++;
	address->claim[index] = *claim;
	touch_addr(state, addr);
}

void claim_del(struct state *state, const union mg_addr *addr, const struct claim *claim)
{
	struct address *address;
	int index;

	HASH_FIND(hh, state->addresses, addr, sizeof(*addr), address);
	index = address ? claim_index(address, claim) : -1;
	if (index < 0)
		return;
	address->claims--;
	memmove(&address->claim[index], &address->claim[index + 1],
		(address->claims - (unsigned int)index) * sizeof(*claim));
	touch_addr(state, addr);
	if (address->claims)
		return;
	HASH_DEL(state->addresses, address);
	free(address);
}

int state_addr_row(const struct state *state, const union mg_addr *addr, uint16_t identity,
		   struct mg_ident *ret_row)
{
	const struct address *address = address_find(state, addr);
	const struct claim *claim = address ? claim_best(address) : NULL;
	struct mg_prefix prefix = host_prefix(addr);

	if (!claim)
		return -ENOENT;
	*ret_row = (struct mg_ident){
		.identity = identity,
		.node = claim->node,
		.slot = claim->slot,
		.flags = (uint16_t)(claim->flags | pool_flags(state, &prefix)),
	};
	return 0;
}

const char *state_addr_owner(const struct state *state, const union mg_addr *addr)
{
	const struct address *address = address_find(state, addr);
	const struct claim *claim = address ? claim_best(address) : NULL;

	return claim && claim->owner ? claim->owner->key : NULL;
}

void state_touched(const struct state *state,
		   void (*each)(void *ctx, const struct mg_prefix *prefix, bool net), void *ctx)
{
	for (const struct touch *entry = state->touched; entry; entry = entry->hh.next)
		each(ctx, &entry->key.prefix, entry->key.net);
}

void state_touched_done(struct state *state)
{
	struct touch *entry, *next;

	HASH_ITER(hh, state->touched, entry, next) {
		HASH_DEL(state->touched, entry);
		free(entry);
	}
}

void state_touch_all(struct state *state)
{
	for (const struct address *address = state->addresses; address; address = address->hh.next)
		touch_addr(state, &address->addr);
	for (const struct net *net = state->nets; net; net = net->hh.next)
		touch(state, &net->prefix, true);
}
