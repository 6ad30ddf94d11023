/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine is told.
 */
#include "policy/engine.h"

#include <errno.h>
#include <string.h>

#include "policy/engine_state.h"

#define NETS_DEFAULT 262144 /* rows of mg_nets, bpf/maps/nets.h */

/* --- addresses and prefixes ---------------------------------------------------------------- */

static void soil(struct engine *e, struct addr_row *row)
{
	uint16_t before = row->identity;

	if (row->flags & ADDR_DIRTY)
		return;
	if (before != NO_IDENTITY) {
		ident_unref(&e->idents, before);
	} else if (e->known.count) {
		struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = row->addr };

		before = known_get(e, &prefix, false);
	}
	vec_push(&e->addrs.dirty, (struct addr_dirty){ row->addr, before });
	row->identity = NO_IDENTITY;
	row->flags |= ADDR_DIRTY;
	e->pending = true;
}

void engine_addr_set(struct engine *e, const union mg_addr *addr, const struct engine_facts *facts)
{
	struct facts *known = facts_intern(&e->facts, facts);
	struct addr_row *row = addrs_find(&e->addrs, addr);

	if (row && row->facts == known->index) {
		facts_unref(&e->facts, known);
		return;
	}
	if (row) {
		facts_unref(&e->facts, e->facts.by_index.v[row->facts]);
	} else {
		row = addrs_add(&e->addrs, addr);
		row->identity = NO_IDENTITY;
	}
	row->facts = known->index;
	soil(e, row);
}

void engine_addr_del(struct engine *e, const union mg_addr *addr)
{
	struct addr_row *row = addrs_find(&e->addrs, addr);

	if (!row)
		return;
	soil(e, row);
	facts_unref(&e->facts, e->facts.by_index.v[row->facts]);
	addrs_remove(&e->addrs, row);
}

void engine_net_set(struct engine *e, const struct mg_prefix *prefix, enum engine_net kind)
{
	nets_own(&e->nets, prefix, kind);
	e->regions |= kind != ENGINE_NET_INHERIT;
	e->pending = true;
}

void engine_net_del(struct engine *e, const struct mg_prefix *prefix)
{
	nets_disown(&e->nets, prefix);
	e->regions = true;
	e->pending = true;
}

/* --- network sets -------------------------------------------------------------------------- */

static void members(struct engine *e, const struct netset *set, const struct mg_prefix *net,
		    size_t count, bool add)
{
	for (size_t i = 0; i < count; i++)
		nets_member(&e->nets, &net[i], set->index, add);
}

/* What is in both lists, which are sorted, has not changed. */
static void exchange_members(struct engine *e, const struct netset *set,
			     const struct mg_prefix *old, size_t old_count)
{
	size_t i = 0, k = 0;

	while (i < old_count || k < set->count) {
		int order = i == old_count    ? 1
			    : k == set->count ? -1
					      : prefix_order(&old[i], &set->net[k]);

		if (order < 0)
			members(e, set, &old[i], 1, false);
		else if (order > 0)
			members(e, set, &set->net[k], 1, true);
		i += order <= 0;
		k += order >= 0;
	}
}

static void netset_changed(struct engine *e, const struct netset *set)
{
	lists_soil_inside(e, set);
	e->nets.again = e->regions = e->pending = true;
}

void engine_netset_set(struct engine *e, const char *name, const struct engine_facts *facts,
		       const struct mg_prefix *net, size_t count)
{
	struct netset *set = netset_find(&e->netsets, name);
	struct mg_prefix *old;
	struct facts *before;
	size_t old_count;

	if (!set)
		set = netset_add(&e->netsets, name);
	else
		netset_changed(e, set);
	before = set->facts;
	set->facts = facts_intern(&e->facts, facts);
	facts_unref(&e->facts, before);
	netset_nets(set, net, count, &old, &old_count);
	exchange_members(e, set, old, old_count);
	netset_changed(e, set);
	free(old);
}

void engine_netset_del(struct engine *e, const char *name)
{
	struct netset *set = netset_find(&e->netsets, name);

	if (!set)
		return;
	members(e, set, set->net, set->count, false);
	netset_changed(e, set);
	netset_remove(&e->netsets, set);
	domains_set_del(e, name);
}

/* --- tiers --------------------------------------------------------------------------------- */

static struct tier *tier_find(const struct engine *e, const char *name)
{
	struct hnode *node = hmap_first(&e->tiers, hash_text(name, 0));

	while (node && strcmp(((struct tier *)node)->name, name))
		node = hmap_same(node);
	return (struct tier *)node;
}

static void entries_follow_tiers(struct engine *e)
{
	hmap_for_each(&e->policies, i, node, after)
	{
		struct policy_entry *entry = (struct policy_entry *)node;

		entry->tier = tier_find(e, entry->policy->tier);
	}
	lists_resort(e);
}

void engine_tier_set(struct engine *e, const char *name, double order, enum rule_action action)
{
	struct tier *tier = tier_find(e, name);

	if (!tier) {
		tier = xcalloc(1, sizeof(*tier));
		tier->name = xstrdup(name);
		tier->number = hash_text(name, 1) | 1;
		hmap_add(&e->tiers, &tier->node, hash_text(name, 0));
	}
	tier->order = order;
	tier->action = action;
	entries_follow_tiers(e);
}

static void tier_free(struct tier *tier)
{
	free(tier->name);
	free(tier);
}

void engine_tier_del(struct engine *e, const char *name)
{
	struct tier *tier = tier_find(e, name);

	if (!tier)
		return;
	hmap_del(&e->tiers, &tier->node);
	entries_follow_tiers(e);
	tier_free(tier);
}

/* --- policies ------------------------------------------------------------------------------ */

static uint32_t policy_hash(const char *group, const char *kind, const char *ns, const char *name)
{
	return hash_text(name, hash_text(ns, hash_text(kind, hash_text(group, 0))));
}

struct policy_entry *policy_find(const struct engine *e, const char *group, const char *kind,
				 const char *ns, const char *name)
{
	struct hnode *node = hmap_first(&e->policies, policy_hash(group, kind, ns, name));

	for (; node; node = hmap_same(node)) {
		const struct policy *policy = ((struct policy_entry *)node)->policy;

		if (!strcmp(policy->name, name) && !strcmp(policy->namespace, ns) &&
		    !strcmp(policy->kind, kind) && !strcmp(policy->group, group))
			return (struct policy_entry *)node;
	}
	return NULL;
}

static void entry_remove(struct engine *e, struct policy_entry *entry)
{
	lists_remove(e, entry);
	hmap_del(&e->policies, &entry->node);
	policy_unref(entry->policy);
	free(entry);
}

void engine_policy_set(struct engine *e, struct policy *policy)
{
	struct policy_entry *old =
		policy_find(e, policy->group, policy->kind, policy->namespace, policy->name);
	struct policy_entry *entry = xcalloc(1, sizeof(*entry));

	if (old)
		entry_remove(e, old);
	entry->policy = policy;
	entry->tier = tier_find(e, policy->tier);
	for (int direction = 0; direction < 2; direction++)
		entry->near[direction] = near_matters(policy, direction);
	hmap_add(&e->policies, &entry->node,
		 policy_hash(policy->group, policy->kind, policy->namespace, policy->name));
	lists_add(e, entry);
}

void engine_policy_del(struct engine *e, const char *group, const char *kind, const char *ns,
		       const char *name)
{
	struct policy_entry *entry = policy_find(e, group, kind, ns, name);

	if (entry)
		entry_remove(e, entry);
}

/* --- endpoints ----------------------------------------------------------------------------- */

int engine_endpoint_set(struct engine *e, uint32_t n, const struct engine_endpoint *from)
{
	struct slot *slot = slot_at(e, n);
	struct endpoint *endpoint;
	struct facts *old;

	if (!slot || !n)
		return -ERANGE;
	endpoint = slot->endpoint;
	if (!endpoint) {
		endpoint = xcalloc(1, sizeof(*endpoint));
		endpoint->slot = n;
		endpoint->fresh = !slot->present;
		slot->endpoint = endpoint;
	}
	old = endpoint->facts;
	endpoint->facts = facts_intern(&e->facts, &from->facts);
	facts_unref(&e->facts, old);
	endpoint->ip[0] = from->ip4;
	endpoint->ip[1] = from->ip6;
	endpoint->default_deny = from->default_deny;
	endpoint_apply_all(e, endpoint);
	return 0;
}

void engine_endpoint_del(struct engine *e, uint32_t n)
{
	struct slot *slot = slot_at(e, n);

	if (!slot || (!slot->endpoint && !slot->present))
		return;
	endpoint_free(e, slot->endpoint);
	slot->endpoint = NULL;
	columns_clear(e, n);
	vec_push(&e->cleared, n);
	e->pending = true;
}

/* --- beginning and end --------------------------------------------------------------------- */

struct engine *engine_new(const struct engine_limits *limits)
{
	struct engine *e = xcalloc(1, sizeof(*e));

	if (limits)
		e->limits = *limits;
	if (!e->limits.nets)
		e->limits.nets = NETS_DEFAULT;
	e->rows.build = 1;
	tables_init(&e->tables, &e->rows, &e->limits);
	truths_init(&e->truths);
	facts_table_init(&e->facts, &e->truths);
	atoms_init(&e->atoms, &e->facts);
	netsets_init(&e->netsets, &e->facts);
	nets_init(&e->nets, &e->truths, &e->netsets);
	domains_begin(e);
	idents_init(&e->idents, &e->rows, e->limits.identities, &e->truths, &e->atoms);
	compiler_init(&e->compiler, &e->atoms, &e->idents, &e->tables);
	sets_init(&e->sets, &e->rows, e->limits.sets, &e->compiler);
	columns_init(&e->columns);
	rows_clear(&e->rows);
	engine_tier_set(e, "default", 1000000, RULE_DENY);
	engine_tier_set(e, "kube-admin", 1000, RULE_PASS);
	engine_tier_set(e, "kube-baseline", 10000000, RULE_PASS);
	e->pending = true;
	return e;
}

void engine_limit_nets(struct engine *e, uint32_t rows)
{
	e->limits.nets = rows;
}

static void told_free(struct engine *e)
{
	hmap_for_each(&e->tiers, i, node, after) tier_free((struct tier *)node);
	hmap_for_each(&e->policies, i, node, after)
	{
		policy_unref(((struct policy_entry *)node)->policy);
		free(node);
	}
	hmap_done(&e->tiers);
	hmap_done(&e->policies);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	columns_done(e);
	sets_done(&e->sets);
	compiler_done(&e->compiler);
	idents_done(&e->idents);
	addrs_done(&e->addrs);
	nets_done(&e->nets);
	netsets_done(&e->netsets);
	atoms_done(&e->atoms);
	domains_done(&e->domains);
	facts_table_done(&e->facts);
	truths_done(&e->truths);
	tables_done(&e->tables);
	told_free(e);
	rows_done(&e->rows);
	known_forget(e);
	heirs_forget(e);
	vec_done(&e->move);
	vec_done(&e->cleared);
	free(e);
}
