/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains in the engine: what lists (domains.h) of atoms and network sets mean for prefixes.
 *
 * The domains of a network set are a set of their own, with the same labels and facts of kind
 * ENGINE_DOMAINS, of which only ATOM_ALLOWED is ever true; an endpoint's near end never asks it.
 */
#include <string.h>

#include "model/selector.h"
#include "policy/domains.h"
#include "policy/engine_state.h"

static void entry(struct engine *e, const struct domain_list *list, const union mg_addr *addr,
		  bool add)
{
	const struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = *addr };

	if (list->atom)
		nets_entry(&e->nets, &prefix, truth_make(list->atom->index, 0), add);
	else if (list->set)
		nets_member(&e->nets, &prefix, list->set->index, add);
}

static void on_change(void *ctx, const struct domain_list *list, const union mg_addr *addr,
		      bool add)
{
	struct engine *e = ctx;

	entry(e, list, addr, add);
	e->regions = e->pending = true;
}

void domains_begin(struct engine *e)
{
	e->domains.changed = on_change;
	e->domains.ctx = e;
}

static void each(void *ctx, const struct domain_list *list, const union mg_addr *addr, bool add)
{
	entry(ctx, list, addr, add);
}

void domains_atom(struct engine *e, struct atom *atom)
{
	atom->domains = domain_list_new(&e->domains, atom->name);
	atom->domains->atom = atom;
	domain_list_each(atom->domains, each, e, true);
}

/* --- network sets -------------------------------------------------------------------------- */

/* No set has such a name. */
static char *shadow_name(const char *name)
{
	return xasprintf("domains of %s", name);
}

static void set_changed(struct engine *e)
{
	e->domain_sets++;
	e->nets.again = e->regions = e->pending = true;
}

static void leave(struct engine *e, struct netset *set)
{
	if (!set->domains)
		return;
	domain_list_each(set->domains, each, e, false);
	domain_list_free(set->domains);
	set->domains = NULL;
}

static void shadow_del(struct engine *e, const char *shadow)
{
	struct netset *set = netset_find(&e->netsets, shadow);

	if (!set)
		return;
	leave(e, set);
	set_changed(e);
	netset_remove(&e->netsets, set);
}

void domains_set_del(struct engine *e, const char *name)
{
	_cleanup_free_ char *shadow = shadow_name(name);

	shadow_del(e, shadow);
}

/* What is in both lists, the old and the new one, is told once more, which changes nothing. */
static void exchange(struct engine *e, struct netset *set, const char *const *domain, size_t count)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	struct domain_list *list = domain_list_new(&e->domains, domain_text(arena, domain, count));

	leave(e, set);
	list->set = set;
	set->domains = list;
	domain_list_each(list, each, e, true);
}

void engine_netset_domains(struct engine *e, const char *name, const struct engine_facts *facts,
			   const char *const *domain, size_t count)
{
	_cleanup_free_ char *shadow = shadow_name(name);
	struct engine_facts own = *facts;
	struct facts *before;
	struct netset *set;

	if (!count) {
		shadow_del(e, shadow);
		return;
	}
	own.kind = ENGINE_DOMAINS;
	set = netset_find(&e->netsets, shadow);
	if (!set)
		set = netset_add(&e->netsets, shadow);
	before = set->facts;
	set->facts = facts_intern(&e->facts, &own);
	facts_unref(&e->facts, before);
	exchange(e, set, domain, count);
	set_changed(e);
}

/* --- names --------------------------------------------------------------------------------- */

void engine_domain_set(struct engine *e, const char *name, const union mg_addr *addr)
{
	domains_add(&e->domains, name, addr);
}

void engine_domain_del(struct engine *e, const char *name, const union mg_addr *addr)
{
	domains_remove(&e->domains, name, addr);
}

bool engine_domain_wanted(struct engine *e, const char *name)
{
	return domains_want(&e->domains, name);
}

/* --- endpoints ----------------------------------------------------------------------------- */

static bool selects_domains(const struct engine *e, const struct selector *selector)
{
	for (size_t i = 0; i < e->netsets.by_index.n; i++) {
		const struct netset *set = e->netsets.by_index.v[i];

		if (set && set->domains && selector_eval(selector, facts_lookup, set->facts))
			return true;
	}
	return false;
}

static bool asks_domains(const struct engine *e, const struct policy *policy)
{
	for (unsigned int i = 0; i < policy->rule_count[POLICY_OUT]; i++) {
		const struct rule *rule = &policy->rules[POLICY_OUT][i];

		if (rule->dst.domains)
			return true;
		if (rule->action == RULE_ALLOW && rule->dst.selector &&
		    selects_domains(e, rule->dst.selector))
			return true;
	}
	return false;
}

/* Known until a network set's domains change. */
static bool entry_asks(const struct engine *e, struct policy_entry *entry)
{
	if (entry->domains_at != e->domain_sets + 1) {
		entry->domains = asks_domains(e, entry->policy);
		entry->domains_at = e->domain_sets + 1;
	}
	return entry->domains;
}

bool engine_endpoint_domains(struct engine *e, uint32_t n)
{
	struct endpoint *endpoint = n < e->columns.slot.n ? e->columns.slot.v[n].endpoint : NULL;

	for (size_t i = 0; endpoint && i < endpoint->applies.n; i++)
		if (entry_asks(e, endpoint->applies.v[i]))
			return true;
	return false;
}
