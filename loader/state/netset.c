/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network sets: the engine knows a set by "namespace/name", a global one by "/name". One in a
 * namespace has the namespace's labels as well.
 */
#include <string.h>

#include "model/tier.h"
#include "state/internal.h"

struct state_netset {
	struct named named; /* owns the key */
	const struct object *object;
};

static void tell(struct state *state, const struct state_netset *set)
{
	const struct network_set *object = network_set_of(set->object);
	struct engine_facts facts = { .kind = ENGINE_NETSET,
				      .labels = to_engine_labels(&set->object->labels) };
	struct space_labels of_space;

	if (*set->object->ns) {
		facts.namespace = set->object->ns;
		facts.namespace_labels = space_labels(space_get(state, set->object->ns), &of_space);
	}
	engine_netset_set(state->engine, set->named.key, &facts, object->nets, object->net_count);
	engine_netset_domains(state->engine, set->named.key, &facts, object->domains,
			      object->domain_count);
}

void netset_set(struct state *state, const struct object *object)
{
	struct state_netset *set =
		(struct state_netset *)named_find(&state->netsets, object->ns, object->name);

	if (!set) {
		set = xcalloc(1, sizeof(*set));
		set->named.key = xasprintf("%s/%s", object->ns, object->name);
		named_add(&state->netsets, &set->named);
	}
	object_unref((struct object *)set->object);
	set->object = object_ref(object);
	tell(state, set);
}

static void netset_free(struct state_netset *set)
{
	object_unref((struct object *)set->object);
	free((char *)set->named.key);
	free(set);
}

void netset_del(struct state *state, const char *ns, const char *name)
{
	struct state_netset *set = (struct state_netset *)named_find(&state->netsets, ns, name);

	if (!set)
		return;
	engine_netset_del(state->engine, set->named.key);
	named_del(&state->netsets, &set->named);
	netset_free(set);
}

void netsets_refresh(struct state *state, const char *ns)
{
	index_for_each(&state->netsets, word)
	{
		const struct state_netset *set = (const struct state_netset *)word;

		if (!strcmp(set->object->ns, ns))
			tell(state, set);
	}
}

void netsets_free(struct state *state)
{
	index_for_each(&state->netsets, word) netset_free((struct state_netset *)word);
	index_done(&state->netsets);
}
