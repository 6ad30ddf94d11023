/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network sets: the engine knows a set by "namespace/name", a global one by "/name". One in a
 * namespace has the namespace's labels as well.
 */
#include <string.h>

#include "model/tier.h"
#include "state/internal.h"

struct state_netset {
	char *key;
	const struct object *object;
	UT_hash_handle hh;
};

static struct state_netset *netset_find(const struct state *state, const char *key)
{
	struct state_netset *set;

	HASH_FIND_STR(state->netsets, key, set);
	return set;
}

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
	engine_netset_set(state->engine, set->key, &facts, object->nets, object->net_count);
}

void netset_set(struct state *state, const struct object *object)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", object->ns, object->name);
	struct state_netset *set = netset_find(state, key);

	if (!set) {
		set = xcalloc(1, sizeof(*set));
		set->key = xstrdup(key);
		HASH_ADD_KEYPTR(hh, state->netsets, set->key, strlen(set->key), set);
	}
	object_unref((struct object *)set->object);
	set->object = object_ref(object);
	tell(state, set);
}

static void netset_free(struct state *state, struct state_netset *set)
{
	HASH_DEL(state->netsets, set);
	object_unref((struct object *)set->object);
	free(set->key);
	free(set);
}

void netset_del(struct state *state, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct state_netset *set = netset_find(state, key);

	if (!set)
		return;
	engine_netset_del(state->engine, key);
	netset_free(state, set);
}

void netsets_refresh(struct state *state, const char *ns)
{
	for (struct state_netset *set = state->netsets; set; set = set->hh.next)
		if (!strcmp(set->object->ns, ns))
			tell(state, set);
}

void netsets_free(struct state *state)
{
	struct state_netset *set, *next;

	HASH_ITER(hh, state->netsets, set, next)
		netset_free(state, set);
}
