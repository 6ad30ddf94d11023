/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the policy engine is told of pods: facts of addresses, and of endpoints of this node.
 */
#include <string.h>

#include "state/internal.h"

/* --- facts --------------------------------------------------------------------------------- */

struct facts {
	struct engine_facts facts;
	struct space_labels space;
};

/* The Pod knows best, then a WorkloadEndpoint; an endpoint has labels alone. */
static const struct profile *owner_profile(const struct item *ring)
{
	static const unsigned int order[] = { ITEM_POD, ITEM_WEP, ITEM_ENDPOINT };
	const struct item *item = NULL;

	for (unsigned int i = 0; i < 3 && !item; i++)
		item = item_of_flag(ring, order[i]);
	return item->profile;
}

static void facts_make(const struct state *state, const struct item *ring, struct facts *facts)
{
	const struct profile *profile = owner_profile(ring);
	const struct labels *account =
		profile->service_account
			? account_labels(state, ring->space, profile->service_account)
			: NULL;

	memset(facts, 0, sizeof(*facts));
	facts->facts.kind = ENGINE_POD;
	facts->facts.namespace = ring->space->name;
	facts->facts.service_account = profile->service_account;
	facts->facts.labels = to_engine_labels(&profile->labels);
	facts->facts.ports = profile->ports;
	facts->facts.port_count = profile->port_count;
	if (account)
		facts->facts.service_account_labels = to_engine_labels(account);
	facts->facts.namespace_labels = space_labels(ring->space, &facts->space);
}

/* --- telling the engine -------------------------------------------------------------------- */

/* The engine's facts of an address are those of the item that has it. */
void address_tell(struct state *state, const union mg_addr *addr)
{
	static const struct engine_facts outside = { .kind = ENGINE_OUTSIDE };
	const struct item *best = address_best(state, addr);
	struct facts facts;

	if (!best) {
		engine_addr_del(state->engine, addr);
	} else if (best->flags & ITEM_NODE) {
		engine_addr_set(state->engine, addr, &outside);
	} else {
		facts_make(state, best, &facts);
		engine_addr_set(state->engine, addr, &facts.facts);
	}
}

void endpoints_tell(struct state *state, const struct item *ring)
{
	struct local_endpoint *ep;
	struct facts facts;

	if (!item_of_flag(ring, ITEM_ENDPOINT))
		return;
	facts_make(state, ring, &facts);
	ring_for_each(ring, item)
	{
		HASH_FIND(hh, state->endpoints, &item->place, sizeof(item->place), ep);
		if (item->flags & ITEM_ENDPOINT && ep) {
			struct engine_endpoint endpoint = { .facts = facts.facts,
							    .ip4 = ep->e.ip4,
							    .ip6 = ep->e.ip6 };

			engine_endpoint_set(state->engine, item->place, &endpoint);
		}
	}
}

void owner_tell(struct state *state, const struct item *ring)
{
	ring_for_each(ring, item)
	{
		for (unsigned int i = 0; i < item->addr_count; i++)
			address_tell(state, &item->addr[i]);
	}
	endpoints_tell(state, ring);
}
