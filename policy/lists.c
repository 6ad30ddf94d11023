/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which policies apply to which local endpoint, in which order, and so which sets it wants.
 * Order: tiers by (order, name); in a tier policies by (order, "name/namespace/kind").
 */
#include <string.h>

#include "model/selector.h"
#include "policy/engine_state.h"

/* --- order --------------------------------------------------------------------------------- */

static int double_cmp(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int tier_cmp(const struct tier *a, const struct tier *b)
{
	int order = double_cmp(a->order, b->order);

	return order ? order : strcmp(a->name, b->name);
}

/* As strcmp() of "name/namespace/kind" would: the text behind a part is that of the next. */
struct joined {
	const char *part[5];
	unsigned int at;
};

static unsigned char next_char(struct joined *text)
{
	while (text->at < 4 && !*text->part[text->at])
		text->at++;
	return *text->part[text->at] ? *text->part[text->at]++ : 0;
}

static int name_cmp(const struct policy *a, const struct policy *b)
{
	struct joined x = { { a->name, "/", a->namespace, "/", a->kind }, 0 };
	struct joined y = { { b->name, "/", b->namespace, "/", b->kind }, 0 };
	unsigned char c, d;

	do {
		c = next_char(&x);
		d = next_char(&y);
	} while (c && c == d);
	return (int)c - (int)d;
}

static int entry_cmp(const struct policy_entry *a, const struct policy_entry *b)
{
	int order = tier_cmp(a->tier, b->tier);

	if (!order)
		order = double_cmp(a->policy->order, b->policy->order);
	if (!order)
		order = name_cmp(a->policy, b->policy);
	return order ? order : strcmp(a->policy->group, b->policy->group);
}

static int entry_ptr_cmp(const void *a, const void *b)
{
	return entry_cmp(*(struct policy_entry *const *)a, *(struct policy_entry *const *)b);
}

/* --- lists --------------------------------------------------------------------------------- */

static void soil(struct engine *e, struct endpoint *endpoint)
{
	endpoint->dirty = true;
	e->lists_dirty = true;
	e->pending = true;
}

static bool selects(const struct policy_entry *entry, const struct endpoint *endpoint)
{
	const struct policy *policy = entry->policy;

	if (!entry->tier || endpoint->facts->kind == ENGINE_OUTSIDE)
		return false;
	return !policy->selector || selector_eval(policy->selector, facts_lookup, endpoint->facts);
}

void endpoint_apply_all(struct engine *e, struct endpoint *endpoint)
{
	endpoint->applies.n = 0;
	hmap_for_each(&e->policies, i, node,
		      after) if (selects((struct policy_entry *)node, endpoint))
		vec_push(&endpoint->applies, (struct policy_entry *)node);
	if (endpoint->applies.n)
		qsort(endpoint->applies.v, endpoint->applies.n, sizeof(*endpoint->applies.v),
		      entry_ptr_cmp);
	soil(e, endpoint);
}

static void insert(struct endpoint *endpoint, struct policy_entry *entry)
{
	size_t i = endpoint->applies.n;

	vec_push(&endpoint->applies, entry);
	for (; i && entry_cmp(endpoint->applies.v[i - 1], entry) > 0; i--)
		endpoint->applies.v[i] = endpoint->applies.v[i - 1];
	endpoint->applies.v[i] = entry;
}

#define for_each_endpoint(e, at)                                                                   \
	for (size_t _slot = 0; _slot < (e)->columns.slot.n; _slot++)                               \
		for (struct endpoint *at = (e)->columns.slot.v[_slot].endpoint; at; at = NULL)

/* A staged policy matters to whom its counterpart applies, too. */
static void soil_for_staged(struct engine *e, const struct policy_entry *entry)
{
	if (entry->policy->staged == POLICY_ENFORCED)
		return;
	for_each_endpoint(e, endpoint) soil(e, endpoint);
}

void lists_add(struct engine *e, struct policy_entry *entry)
{
	soil_for_staged(e, entry);
	for_each_endpoint(e, endpoint)
	{
		if (!selects(entry, endpoint))
			continue;
		insert(endpoint, entry);
		soil(e, endpoint);
	}
}

void lists_remove(struct engine *e, const struct policy_entry *entry)
{
	soil_for_staged(e, entry);
	for_each_endpoint(e, endpoint)
	{
		size_t n = 0;

		for (size_t i = 0; i < endpoint->applies.n; i++)
			if (endpoint->applies.v[i] != entry)
				endpoint->applies.v[n++] = endpoint->applies.v[i];
		if (n != endpoint->applies.n)
			soil(e, endpoint);
		endpoint->applies.n = n;
	}
}

/* Tiers changed. */
void lists_resort(struct engine *e)
{
	for_each_endpoint(e, endpoint) endpoint_apply_all(e, endpoint);
}

/* A network set changed: to rules that ask for their near end's labels its addresses matter. */
void lists_soil_inside(struct engine *e, const struct netset *set)
{
	for_each_endpoint(e, endpoint)
	{
		for (int i = 0; i < 2; i++)
			if (netset_has(set, &endpoint->ip[i]))
				soil(e, endpoint);
	}
}

/* --- wants --------------------------------------------------------------------------------- */

void want_clear(struct engine *e, struct want *want)
{
	set_unref(&e->sets, want->set);
	*want = (struct want){};
}

typedef VEC(struct set_part) part_vec;

static uint32_t stage_bit(enum mg_stage stage)
{
	switch (stage) {
	case MG_STAGE_UNTRACKED_IN:
	case MG_STAGE_UNTRACKED_OUT:
		return POLICY_AT_UNTRACKED;
	case MG_STAGE_PREDNAT:
		return POLICY_AT_PREDNAT;
	case MG_STAGE_FORWARD_IN:
	case MG_STAGE_FORWARD_OUT:
		return POLICY_AT_FORWARD;
	case MG_STAGE_NORMAL_IN:
	case MG_STAGE_NORMAL_OUT:
	case MG_STAGE_WORKLOAD_IN:
	case MG_STAGE_WORKLOAD_OUT:
	case MG_STAGE_STAGED_IN:
	case MG_STAGE_STAGED_OUT:
	case MG_STAGE_MAX:
		break;
	}
	return POLICY_AT_NORMAL;
}

enum policy_direction stage_direction(enum mg_stage stage)
{
	return stage == MG_STAGE_UNTRACKED_OUT || stage == MG_STAGE_FORWARD_OUT ||
			       stage == MG_STAGE_NORMAL_OUT || stage == MG_STAGE_WORKLOAD_OUT ||
			       stage == MG_STAGE_STAGED_OUT
		       ? POLICY_OUT
		       : POLICY_IN;
}

static bool stage_staged(enum mg_stage stage)
{
	return stage == MG_STAGE_STAGED_IN || stage == MG_STAGE_STAGED_OUT;
}

/* Is there a staged policy that would replace or delete this one, whomever it selects? */
static bool superseded(const struct engine *e, const struct policy *policy)
{
	static const char *const kinds[][3] = {
		{ "networking.k8s.io", "NetworkPolicy", "StagedKubernetesNetworkPolicy" },
		{ "projectcalico.org", "NetworkPolicy", "StagedNetworkPolicy" },
		{ "projectcalico.org", "GlobalNetworkPolicy", "StagedGlobalNetworkPolicy" },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(policy->group, kinds[i][0]) && !strcmp(policy->kind, kinds[i][1]))
			return policy_find(e, "projectcalico.org", kinds[i][2], policy->namespace,
					   policy->name);
	return false;
}

bool entry_judges(const struct engine *e, const struct policy_entry *entry, enum mg_stage stage)
{
	const struct policy *policy = entry->policy;

	if (!(policy->stages & stage_bit(stage)) || !policy->applies[stage_direction(stage)])
		return false;
	if (!stage_staged(stage))
		return policy->staged == POLICY_ENFORCED;
	if (policy->staged == POLICY_ENFORCED)
		return !superseded(e, policy);
	return policy->staged == POLICY_STAGED_SET;
}

/* What no rule of an untracked or preDNAT policy decides goes on to the other stages. */
enum rule_action tier_end(const struct tier *tier, enum mg_stage stage)
{
	return stage <= MG_STAGE_PREDNAT ? RULE_PASS : tier->action;
}

static void push_tier_end(part_vec *parts, const struct tier *tier, enum mg_stage stage)
{
	vec_push(parts, (struct set_part){ .kind = STEP_TIER,
					   .action = tier_end(tier, stage),
					   .tier = tier->number });
}

bool endpoint_is_host(const struct endpoint *endpoint)
{
	return endpoint->facts->kind == ENGINE_HOST_END;
}

static bool of_both_ends(const part_vec *parts)
{
	for (size_t i = 0; i < parts->n; i++)
		if (parts->v[i].cpol && parts->v[i].cpol->both)
			return true;
	return false;
}

static void gather(struct engine *e, const struct endpoint *endpoint, enum mg_stage stage,
		   part_vec *parts)
{
	struct near_end near = { .facts = endpoint->facts,
				 .ip = { endpoint->ip[0], endpoint->ip[1] },
				 .netsets = &e->netsets };
	enum policy_direction direction = stage_direction(stage);
	const struct tier *tier = NULL;

	for (size_t i = 0; i < endpoint->applies.n; i++) {
		struct policy_entry *entry = endpoint->applies.v[i];
		struct cpol *cpol;

		if (!entry_judges(e, entry, stage))
			continue;
		if (tier && tier != entry->tier)
			push_tier_end(parts, tier, stage);
		tier = entry->tier;
		if (endpoint_is_host(endpoint) && entry->near[direction])
			cpol = cpol_get_both(&e->compiler, entry->policy, direction);
		else
			cpol = cpol_get(&e->compiler, entry->policy, direction,
					entry->near[direction] ? &near : NULL);
		vec_push(parts, (struct set_part){ .kind = STEP_RULE, .cpol = cpol });
	}
	if (tier)
		push_tier_end(parts, tier, stage);
}

/* What holds where nothing applies, or everything passes. */
bool endpoint_ends_in_deny(const struct endpoint *endpoint, enum mg_stage stage)
{
	return endpoint->default_deny &&
	       (stage == MG_STAGE_NORMAL_IN || stage == MG_STAGE_NORMAL_OUT ||
		stage == MG_STAGE_WORKLOAD_IN || stage == MG_STAGE_WORKLOAD_OUT ||
		stage_staged(stage));
}

static bool needs_staged(const struct engine *e, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < endpoint->applies.n; i++) {
		const struct policy *policy = endpoint->applies.v[i]->policy;

		if (policy->staged == POLICY_STAGED_SET ||
		    (policy->staged == POLICY_ENFORCED && superseded(e, policy)))
			return true;
	}
	return false;
}

/* The stages of an endpoint's kind. */
static bool has_stage(const struct engine *e, const struct endpoint *endpoint, enum mg_stage stage)
{
	if (endpoint_is_host(endpoint))
		return stage < MG_STAGE_WORKLOAD_IN;
	if (stage_staged(stage))
		return needs_staged(e, endpoint);
	return stage == MG_STAGE_WORKLOAD_IN || stage == MG_STAGE_WORKLOAD_OUT;
}

static uint32_t fixed_set(const struct endpoint *endpoint, enum mg_stage stage)
{
	if (stage <= MG_STAGE_FORWARD_OUT)
		return MG_SET_NONE;
	return endpoint_ends_in_deny(endpoint, stage) ? MG_SET_DROP_ALL : MG_SET_ALLOW_ALL;
}

static struct want want_of(struct engine *e, const struct endpoint *endpoint, enum mg_stage stage)
{
	struct want want = {};
	part_vec parts = {};

	if (!has_stage(e, endpoint, stage))
		return want;
	gather(e, endpoint, stage, &parts);
	if (!parts.n) {
		want.number = fixed_set(endpoint, stage);
		return want;
	}
	vec_push(&parts, (struct set_part){ .kind = STEP_END,
					    .action = endpoint_ends_in_deny(endpoint, stage)
							      ? RULE_DENY
							      : RULE_ALLOW });
	want.set = set_get(&e->sets, parts.v, parts.n, of_both_ends(&parts));
	want.number = want.set->num.number;
	vec_done(&parts);
	return want;
}

void lists_resolve(struct engine *e)
{
	if (!e->lists_dirty)
		return;
	e->lists_dirty = false;
	for_each_endpoint(e, endpoint)
	{
		if (!endpoint->dirty)
			continue;
		endpoint->dirty = false;
		for (int stage = 0; stage < MG_STAGE_MAX; stage++) {
			/* The new one first: what both have in common stays alive. */
			struct want want = want_of(e, endpoint, stage);

			want_clear(e, &endpoint->want[stage]);
			endpoint->want[stage] = want;
		}
	}
}

void endpoint_free(struct engine *e, struct endpoint *endpoint)
{
	if (!endpoint)
		return;
	for (int stage = 0; stage < MG_STAGE_MAX; stage++)
		want_clear(e, &endpoint->want[stage]);
	vec_done(&endpoint->applies);
	facts_unref(&e->facts, endpoint->facts);
	free(endpoint);
}
