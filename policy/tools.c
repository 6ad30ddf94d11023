/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine answers: rows of a plan, identities, rules, figures.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/inet.h"
#include "policy/engine_state.h"

static const union {
	struct mg_digest digest;
	struct mg_set set;
	struct mg_slot slot;
} zero;

static const void *set_value(const struct engine *e, uint32_t key, struct mg_page *scratch)
{
	const struct set *set = set_by_number(&e->sets, key);
	struct mg_set row = {};

	if (key == MG_SET_ALLOW_ALL)
		row.table = e->sets.allow_root;
	else if (set)
		row = (struct mg_set){ .table = set->root,
				       .flags = set->both ? MG_SET_BOTH_ENDS : 0 };
	memcpy(scratch, &row, sizeof(row));
	return scratch;
}

static const void *page_row(const struct engine *e, uint32_t key, struct mg_page *scratch)
{
	page_expand((const struct page *)numbers_get(&e->tables.pages, key), scratch);
	return scratch;
}

const void *plan_value(const struct engine *e, const struct plan_row *row, struct mg_page *scratch,
		       size_t *ret_size)
{
	const struct number *number;

	*ret_size = sizeof(struct mg_digest);
	switch (row->map) {
	case PLAN_PAGE:
		*ret_size = sizeof(struct mg_page);
		return page_row(e, row->key, scratch);
	case PLAN_SET:
		*ret_size = sizeof(struct mg_set);
		return set_value(e, row->key, scratch);
	case PLAN_CLASS:
		*ret_size = sizeof(struct mg_class);
		return &((const struct class *)numbers_get(&e->tables.classes, row->key))->row;
	case PLAN_VERDICT:
		*ret_size = sizeof(struct mg_verdict);
		return &((const struct verdict *)numbers_get(&e->tables.verdicts, row->key))->row;
	case PLAN_SLOT:
		*ret_size = sizeof(struct mg_slot);
		return &e->columns.slot.v[row->key].row;
	case PLAN_COMMIT_ROW:
		*ret_size = sizeof(struct mg_commit);
		return &e->columns.commit[row->key];
	case PLAN_IDENT_DIG:
		number = numbers_get(&e->idents.numbers, row->key);
		return number ? &((const struct ident *)number)->digest : &zero.digest;
	case PLAN_SET_DIG:
		number = numbers_get(&e->sets.numbers, row->key);
		return number ? &((const struct set *)number)->digest : &zero.digest;
	case PLAN_RULE_DIG:
		number = numbers_get(&e->tables.rules, row->key);
		return number ? &((const struct rule_number *)number)->digest : &zero.digest;
	case PLAN_MAPS:
		break;
	}
	return NULL;
}

/* --- identities ---------------------------------------------------------------------------- */

int engine_addr_identity(const struct engine *e, const union mg_addr *addr, uint16_t *ret_identity)
{
	const struct addr_row *row = addrs_find(&e->addrs, addr);

	if (!row || row->identity == NO_IDENTITY)
		return -ENOENT;
	*ret_identity = row->identity;
	return 0;
}

int engine_net_identity(const struct engine *e, const struct mg_prefix *prefix,
			uint16_t *ret_identity)
{
	const struct net *net = nets_find(&e->nets, prefix);

	if (!net || net->identity == NO_IDENTITY)
		return -ENOENT;
	*ret_identity = net->identity;
	return 0;
}

uint16_t engine_region_identity(const struct engine *e, const struct mg_prefix *prefix)
{
	return nets_identity(&e->nets, prefix);
}

static void put_truth(FILE *out, const struct engine *e, const struct truth *truth)
{
	for (uint32_t i = 0; i < truth->count; i++) {
		const struct atom *atom = e->atoms.by_index.v[truth_atom(truth->entry[i])];
		_cleanup_free_ char *text = atom_text(atom);
		uint32_t value = (uint32_t)truth->entry[i];

		fprintf(out, "; %s", text);
		if (value)
			fprintf(out, " = %u/%u", value >> 16, value & 0xffff);
	}
}

char *engine_identity_text(const struct engine *e, uint16_t n)
{
	static const char *const base[] = { "IPv4", "IPv6", "IPv4, owner unknown",
					    "IPv6, owner unknown" };
	const struct ident *ident = ident_get(&e->idents, n);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!ident || ident->restored) {
		fprintf(out, "unknown");
	} else {
		fprintf(out, "%s", base[ident->key.base]);
		put_truth(out, e, ident->key.facts);
		put_truth(out, e, ident->key.nets);
	}
	fclose(out);
	return text;
}

/* --- rules and lists ----------------------------------------------------------------------- */

int engine_rule_get(const struct engine *e, uint32_t number, struct engine_rule *ret_rule)
{
	const struct rule_number *rule =
		(const struct rule_number *)numbers_get(&e->tables.rules, number);

	if (!rule || !rule->policy)
		return -ENOENT;
	*ret_rule = (struct engine_rule){ .policy = rule->policy,
					  .direction = rule->direction,
					  .index = rule->index,
					  .action = rule->action,
					  .text = rule->text };
	return 0;
}

uint32_t engine_rule_number(const struct engine *e, const struct policy *policy,
			    enum policy_direction direction, unsigned int index)
{
	const struct rule_number *rule = cpol_rule_number(&e->tables, policy, direction, index);

	return rule ? rule->num.number : MG_RULE_NONE;
}

const struct mg_digest *engine_rule_digest(const struct engine *e, uint32_t number)
{
	const struct rule_number *rule =
		(const struct rule_number *)numbers_get(&e->tables.rules, number);

	return rule ? &rule->digest : NULL;
}

bool engine_has_log(const struct engine *e)
{
	for (size_t i = 0; i < e->tables.rules.by_number.n; i++) {
		const struct rule_number *rule =
			(const struct rule_number *)e->tables.rules.by_number.v[i];

		if (rule && rule->num.refs && rule->action == RULE_LOG)
			return true;
	}
	return false;
}

uint32_t engine_rules_end(const struct engine *e)
{
	return e->tables.rules.by_number.n;
}

bool engine_tier_get(const struct engine *e, const char *name, struct engine_tier *ret_tier)
{
	hmap_for_each(&e->tiers, i, node, after)
	{
		const struct tier *tier = (const struct tier *)node;

		if (strcmp(tier->name, name))
			continue;
		*ret_tier = (struct engine_tier){ .order = tier->order, .action = tier->action };
		return true;
	}
	return false;
}

const char *engine_tier_name(const struct engine *e, uint32_t number)
{
	hmap_for_each(&e->tiers, i, node, after) if (((const struct tier *)node)->number ==
						     number) return ((const struct tier *)node)
		->name;
	return NULL;
}

static const struct endpoint *endpoint_at(const struct engine *e, uint32_t slot)
{
	return slot < e->columns.slot.n ? e->columns.slot.v[slot].endpoint : NULL;
}

void engine_endpoint_policies(const struct engine *e, uint32_t slot,
			      enum policy_direction direction,
			      void (*each)(void *ctx, const struct policy *policy), void *ctx)
{
	const struct endpoint *endpoint = endpoint_at(e, slot);

	for (size_t i = 0; endpoint && i < endpoint->applies.n; i++)
		if (endpoint->applies.v[i]->policy->applies[direction])
			each(ctx, endpoint->applies.v[i]->policy);
}

bool engine_endpoint_denies(const struct engine *e, uint32_t slot)
{
	const struct endpoint *endpoint = endpoint_at(e, slot);

	return !endpoint || endpoint->default_deny;
}

uint32_t engine_endpoint_set_number(const struct engine *e, uint32_t slot, enum mg_stage stage)
{
	return slot < e->columns.slot.n
		       ? e->columns.slot.v[slot].row.set[e->columns.in_force][stage]
		       : MG_SET_NONE;
}

void engine_stats(const struct engine *e, struct engine_stats *ret_stats)
{
	const struct {
		enum plan_map map;
		const struct numbers *numbers;
	} kind[] = {
		{ PLAN_PAGE, &e->tables.pages },	{ PLAN_CLASS, &e->tables.classes },
		{ PLAN_VERDICT, &e->tables.verdicts },	{ PLAN_RULE_DIG, &e->tables.rules },
		{ PLAN_SET, &e->sets.numbers },		{ PLAN_SET_DIG, &e->sets.numbers },
		{ PLAN_IDENT_DIG, &e->idents.numbers },
	};
	uint32_t facts = e->facts.by_index.n - e->facts.free.n;

	*ret_stats = (struct engine_stats){ .identities = e->idents.numbers.used,
					    .atoms = e->atoms.count,
					    .addresses = e->addrs.count,
					    .facts = facts,
					    .nets = e->nets.net.n,
					    .generation = e->columns.generation };
	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
		ret_stats->used[kind[i].map] = kind[i].numbers->used + kind[i].numbers->first;
		ret_stats->limit[kind[i].map] = kind[i].numbers->limit;
	}
	for (size_t i = 0; i < e->columns.slot.n; i++)
		ret_stats->used[PLAN_SLOT] += e->columns.slot.v[i].present;
}
