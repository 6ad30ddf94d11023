/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/set.h"

#include <string.h>

#include "policy/digest.h"

/* Nodes of 48 bytes that are kept, at least and at most. */
#define CHAIN_LEAST (1U << 12)
#define CHAIN_MOST (1U << 18)

/* --- lists --------------------------------------------------------------------------------- */

/* Elements of policies are serial << 32 | list; serials never reach this. */
#define ELEMENT_MARK 0xf0000000U

static uint32_t list_child(struct sets *sets, uint32_t node, const struct set_part *part,
			   uint32_t list)
{
	const struct cpol *cpol = part->cpol;
	uint64_t element = (uint64_t)cpol->serial << 32 | list;
	uint32_t before = sets->chain.node.v[node].flags, flags = cpol->chain.node.v[list].flags;
	bool is_new;

	if (list == CHAIN_ROOT || before & CHAIN_FULL)
		return node;
	/* What a policy of this tier let pass is not decided by a later one. */
	if (before & CHAIN_PASSES && flags & CHAIN_CLOSED)
		flags = CHAIN_PASSED;
	flags |= before & CHAIN_PASSES;
	node = chain_child(&sets->chain, node, element, &is_new);
	if (is_new) {
		sets->chain.node.v[node].owner = cpol;
		sets->chain.node.v[node].flags = flags;
		sets->chain.node.v[node].value = UINT32_MAX;
	}
	return node;
}

static uint32_t mark_child(struct sets *sets, uint32_t node, const struct set_part *part)
{
	uint32_t high = ELEMENT_MARK | part->kind << 8 | part->action;
	bool is_new;

	if (sets->chain.node.v[node].flags & CHAIN_CLOSED)
		return node;
	node = chain_child(&sets->chain, node, (uint64_t)high << 32 | part->tier, &is_new);
	if (is_new)
		sets->chain.node.v[node].value = UINT32_MAX;
	return node;
}

/* --- classes ------------------------------------------------------------------------------- */

/* The rules of one policy's list, last first. */
static void push_rules(struct sets *sets, const struct cpol *cpol, uint32_t list)
{
	for (; list; list = cpol->chain.node.v[list].parent) {
		const struct far_step *step = &cpol->step.v[cpol->chain.node.v[list].element];
		const struct far_rule *rule = &cpol->rule.v[step->rule];

		vec_push(&sets->step,
			 (struct step){ .kind = STEP_RULE,
					.action = rule->rule->action,
					.number = rule->number->num.number,
					.staged = cpol->policy->staged != POLICY_ENFORCED,
					.pm = step->pm });
	}
}

static void push_steps(struct sets *sets, uint32_t node)
{
	sets->step.n = 0;
	for (; node; node = sets->chain.node.v[node].parent) {
		const struct chain_node *at = &sets->chain.node.v[node];
		uint32_t high = at->element >> 32;

		if (at->owner)
			push_rules(sets, at->owner, (uint32_t)at->element);
		else
			vec_push(&sets->step, (struct step){ .kind = high >> 8 & 0xff,
							     .action = high & 0xff,
							     .number = (uint32_t)at->element });
	}
	for (size_t i = 0, k = sets->step.n; i + 1 < k--; i++) {
		struct step step = sets->step.v[i];

		sets->step.v[i] = sets->step.v[k];
		sets->step.v[k] = step;
	}
}

/* The class of a whole list; held until release(). */
static uint32_t node_class(struct sets *sets, uint32_t node)
{
	struct chain_node *at = &sets->chain.node.v[node];

	if (at->mark == sets->mark)
		return at->value;
	at->mark = sets->mark;
	if (at->value == UINT32_MAX || !class_ref_again(sets->tables, at->value, at->serial)) {
		push_steps(sets, node);
		at->value = class_make(&sets->classifier, sets->step.v, sets->step.n);
		at->serial = class_serial(sets->tables, at->value);
	}
	vec_push(&sets->held, at->value);
	return at->value;
}

static void release(struct sets *sets)
{
	for (size_t i = 0; i < sets->held.n; i++)
		class_unref(sets->tables, sets->held.v[i]);
	sets->held.n = 0;
	sets->mark++;
}

/* --- tables -------------------------------------------------------------------------------- */

static void gather_ids(struct sets *sets)
{
	sets->id.n = 0;
	ident_for_each(sets->idents, ident)
	{
		if (ident->num.number >= sets->idents->numbers.limit)
			continue;
		sets->node[ident->num.number] = CHAIN_ROOT;
		vec_push(&sets->id, ident->num.number);
	}
}

static bool rests(const struct cpol *cpol)
{
	for (int base = 0; base < BASE_MAX; base++)
		if (cpol->rest[base])
			return true;
	return false;
}

static void overlay_policy(struct sets *sets, const struct set_part *part)
{
	const struct cpol *cpol = part->cpol;
	size_t next = 0;

	if (!rests(cpol)) {
		for (size_t i = 0; i < cpol->list.n; i++) {
			uint32_t *node = &sets->node[cpol->list.v[i].identity];

			*node = list_child(sets, *node, part, cpol->list.v[i].list);
		}
		return;
	}
	for (size_t i = 0; i < sets->id.n; i++) {
		uint16_t n = sets->id.v[i];
		const struct ident *ident = ident_get(sets->idents, n);
		uint32_t list = cpol->rest[ident->key.base];

		while (next < cpol->list.n && cpol->list.v[next].identity < n)
			next++;
		if (next < cpol->list.n && cpol->list.v[next].identity == n)
			list = cpol->list.v[next].list;
		sets->node[n] = list_child(sets, sets->node[n], part, list);
	}
}

static void overlay_mark(struct sets *sets, const struct set_part *part)
{
	uint32_t last = UINT32_MAX, child = 0;

	for (size_t i = 0; i < sets->id.n; i++) {
		uint32_t *node = &sets->node[sets->id.v[i]];

		if (*node != last) {
			last = *node;
			child = mark_child(sets, last, part);
		}
		*node = child;
	}
}

static void overlay(struct sets *sets, const struct set_part *part, size_t count)
{
	gather_ids(sets);
	for (size_t i = 0; i < count; i++) {
		if (part[i].cpol)
			overlay_policy(sets, &part[i]);
		else
			overlay_mark(sets, &part[i]);
	}
}

uint32_t parts_compile(struct sets *sets, const struct set_part *part, size_t count)
{
	uint32_t root, at = 0;

	overlay(sets, part, count);
	sets->run.n = 0;
	for (size_t i = 0; i < sets->id.n; i++) {
		uint16_t n = sets->id.v[i];

		if (n > at) /* numbers nobody has */
			vec_push(&sets->run, (struct run){ at, 0 });
		vec_push(&sets->run, (struct run){ n, node_class(sets, sets->node[n]) });
		at = n + 1;
	}
	vec_push(&sets->run, (struct run){ at, 0 });
	root = table_build(sets->tables, TABLE_CLASS, sets->run.v, sets->run.n);
	release(sets);
	return root;
}

uint32_t set_compile(struct sets *sets, struct set *set)
{
	return set->both ? both_compile(sets, set) : parts_compile(sets, set->part.v, set->part.n);
}

uint32_t set_adopt(struct sets *sets, struct set *set)
{
	VEC(struct table_entry) entry = {};
	uint32_t root;

	if (set->both)
		return both_adopt(sets, set);
	overlay(sets, set->part.v, set->part.n);
	for (size_t i = 0; i < sets->id.n; i++) {
		uint16_t n = sets->id.v[i];

		if (!ident_get(sets->idents, n)->restored)
			vec_push(&entry,
				 (struct table_entry){ n, node_class(sets, sets->node[n]) });
	}
	root = table_with(sets->tables, TABLE_CLASS, set->root, entry.v, entry.n);
	release(sets);
	vec_done(&entry);
	return root;
}

static uint32_t class_of(struct sets *sets, const struct set *set, const struct ident *ident)
{
	uint32_t node = CHAIN_ROOT;

	for (size_t i = 0; i < set->part.n; i++) {
		const struct set_part *part = &set->part.v[i];

		if (part->cpol)
			node = list_child(sets, node, part, cpol_list(part->cpol, ident));
		else
			node = mark_child(sets, node, part);
	}
	return node_class(sets, node);
}

static int entry_cmp(const void *a, const void *b)
{
	return (int)((const struct table_entry *)a)->key -
	       (int)((const struct table_entry *)b)->key;
}

uint32_t set_extend(struct sets *sets, struct set *set)
{
	VEC(struct table_entry) entry = {};
	uint32_t root;

	if (set->both)
		return both_compile(sets, set);
	for (size_t i = 0; i < sets->idents->fresh.n; i++) {
		struct ident *ident = ident_get(sets->idents, sets->idents->fresh.v[i]);

		if (ident)
			vec_push(&entry, (struct table_entry){ ident->num.number,
							       class_of(sets, set, ident) });
	}
	if (entry.n)
		qsort(entry.v, entry.n, sizeof(*entry.v), entry_cmp);
	root = table_with(sets->tables, TABLE_CLASS, set->root, entry.v, entry.n);
	release(sets);
	vec_done(&entry);
	return root;
}

/* --- sets ---------------------------------------------------------------------------------- */

static void parts_drop(struct sets *sets, struct set *set)
{
	for (size_t i = 0; i < set->part.n; i++)
		cpol_unref(sets->compiler, set->part.v[i].cpol);
	vec_done(&set->part);
}

static void set_free(void *ctx, struct number *number)
{
	struct set *set = (struct set *)number;
	struct sets *sets = ctx;

	for (size_t i = 0; set->pending && i < sets->fresh.n; i++)
		if (sets->fresh.v[i] == set)
			sets->fresh.v[i--] = sets->fresh.v[--sets->fresh.n];
	parts_drop(sets, set);
	table_unref(sets->tables, set->root);
	rows_add(sets->numbers.rows, PLAN_SET_DIG, number->number, false);
	free(set);
}

static void put(struct sets *sets, const void *data, size_t size)
{
	vec_reserve(&sets->text, sets->text.n + size);
	memcpy(sets->text.v + sets->text.n, data, size);
	sets->text.n += size;
}

static struct mg_digest parts_digest(struct sets *sets, const struct set_part *part, size_t count,
				     bool both)
{
	struct mg_digest digest;

	sets->text.n = 0;
	put(sets, &both, sizeof(both));
	for (size_t i = 0; i < count; i++) {
		uint32_t mark[] = { part[i].kind, part[i].action, part[i].tier };

		put(sets, mark, sizeof(mark));
		if (part[i].cpol)
			put(sets, &part[i].cpol->digest, sizeof(part[i].cpol->digest));
	}
	digest_of(sets->text.v, sets->text.n, &digest);
	return digest;
}

static struct set *set_find(const struct sets *sets, const struct mg_digest *digest, uint32_t hash)
{
	struct hnode *node = hmap_first(&sets->numbers.by_content, hash);

	while (node && memcmp(&((struct set *)node)->digest, digest, sizeof(*digest)))
		node = hmap_same(node);
	return (struct set *)node;
}

static void want_compiled(struct sets *sets, struct set *set)
{
	if (!set->pending && !set->compiled)
		vec_push(&sets->fresh, set);
	set->pending = !set->compiled;
}

static void take_parts(struct sets *sets, struct set *set, struct set_part *part, size_t count)
{
	vec_reserve(&set->part, count);
	memcpy(set->part.v, part, count * sizeof(*part));
	set->part.n = count;
	want_compiled(sets, set);
}

struct set *set_get(struct sets *sets, struct set_part *part, size_t count, bool both)
{
	struct mg_digest digest = parts_digest(sets, part, count, both);
	uint32_t hash = hash_bytes(&digest, sizeof(digest), 0);
	struct set *set = set_find(sets, &digest, hash);

	if (!set) {
		set = xcalloc(1, sizeof(*set));
		set->digest = digest;
		set->both = both;
		numbers_add(&sets->numbers, &set->num, hash);
		rows_add(sets->numbers.rows, PLAN_SET_DIG, set->num.number, false);
		take_parts(sets, set, part, count);
		return set;
	}
	number_ref(&sets->numbers, &set->num);
	if (!set->part.n) { /* it comes from before a restart */
		set->both = both;
		take_parts(sets, set, part, count);
		return set;
	}
	want_compiled(sets, set);
	for (size_t i = 0; i < count; i++)
		cpol_unref(sets->compiler, part[i].cpol);
	return set;
}

void set_ref(struct sets *sets, struct set *set)
{
	if (set)
		number_ref(&sets->numbers, &set->num);
}

void set_unref(struct sets *sets, struct set *set)
{
	if (set)
		number_unref(&sets->numbers, &set->num);
}

struct set *set_by_number(const struct sets *sets, uint32_t number)
{
	return number < MG_SET_FIRST ? NULL : (struct set *)numbers_get(&sets->numbers, number);
}

void set_restore(struct sets *sets, uint32_t number, const struct mg_digest *digest, uint32_t root,
		 bool both)
{
	struct set *set = xcalloc(1, sizeof(*set));

	set->digest = *digest;
	set->restored = true;
	set->both = both;
	set->root = root;
	table_ref(sets->tables, root);
	numbers_restore(&sets->numbers, &set->num, hash_bytes(digest, sizeof(*digest), 0), number);
}

/* Numbers of lists are of one chain: those of identities that are gone, too. */
static void chain_start(struct sets *sets)
{
	chain_init(&sets->chain);
	sets->chain.node.v[CHAIN_ROOT].value = UINT32_MAX;
	sets->chain_before = sets->chain.node.n;
	sets->chain_step = 0;
	free(sets->node);
	sets->node = xcalloc(65536, sizeof(*sets->node));
}

/*
 * What the largest build since the last trim added is about what is in use: a trim comes when as
 * much has gathered once more. So it costs each node at most one more making, and lists of
 * policies and labels that are gone do not stay for good.
 */
void sets_trim(struct sets *sets)
{
	uint32_t count = sets->chain.node.n, limit;

	if (sets->chain_step < count - sets->chain_before)
		sets->chain_step = count - sets->chain_before;
	sets->chain_before = count;
	limit = sets->chain_step < CHAIN_LEAST / 2 ? CHAIN_LEAST : 2 * sets->chain_step;
	if (count <= limit && count <= CHAIN_MOST)
		return;
	chain_done(&sets->chain);
	chain_start(sets);
}

static uint32_t limit_of(uint32_t asked)
{
	return asked ? asked : MG_SETS_MAX;
}

void sets_init(struct sets *sets, struct rows *rows, uint32_t limit, struct compiler *compiler)
{
	*sets = (struct sets){ .compiler = compiler,
			       .tables = compiler->tables,
			       .idents = compiler->idents,
			       .mark = 1 };
	numbers_init(&sets->numbers, rows, PLAN_SET, MG_SET_FIRST, limit_of(limit));
	sets->numbers.free = set_free;
	sets->numbers.ctx = sets;
	classifier_init(&sets->classifier, compiler->tables);
	chain_start(sets);
}

void sets_done(struct sets *sets)
{
	for (size_t i = 0; i < sets->numbers.by_number.n; i++)
		if (sets->numbers.by_number.v[i])
			parts_drop(sets, (struct set *)sets->numbers.by_number.v[i]);
	sets->fresh.n = 0;
	numbers_done(&sets->numbers);
	classifier_done(&sets->classifier);
	chain_done(&sets->chain);
	vec_done(&sets->fresh);
	vec_done(&sets->step);
	vec_done(&sets->held);
	vec_done(&sets->id);
	vec_done(&sets->run);
	vec_done(&sets->text);
	free(sets->node);
}
