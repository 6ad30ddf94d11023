/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One build: from what was told to the plan.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "policy/engine_state.h"

#define MOVES_KEPT 1024
#define NAMED_MAX 4 /* policies named where something does not fit */

/* Set 2: every identity leads to one class that allows. Once, and after a restore. */
static void make_allow_all(struct engine *e)
{
	struct mg_class row = { .verdict = MG_VERDICT_ALLOW };
	struct run run = { 0, class_intern(&e->tables, &row) };

	e->sets.allow_root = table_build(&e->tables, TABLE_CLASS, &run, 1);
	class_unref(&e->tables, run.value);
	if (e->sets.allow_root != e->allow_written)
		rows_add(&e->rows, PLAN_SET, MG_SET_ALLOW_ALL, false);
}

/* --- sets ---------------------------------------------------------------------------------- */

static void compile_policies(struct engine *e)
{
	hmap_for_each(&e->compiler.by_policy, i, node, after)
		cpol_compile(&e->compiler, (struct cpol *)node);
}

static uint32_t over(const struct engine *e)
{
	return e->tables.pages.over + e->tables.classes.over + e->tables.verdicts.over +
	       e->tables.rules.over + e->sets.numbers.over + e->idents.numbers.over + e->nets_over;
}

static uint64_t beyond(const struct engine *e)
{
	return e->tables.pages.beyond + e->tables.classes.beyond + e->tables.verdicts.beyond +
	       e->tables.rules.beyond;
}

/* Puts a new root into a set that is in force: one store, after its pages. False: there is no
 * room (a row that did not fit for another set may be one of its own), the old root stays, in
 * which new identities are denied. */
static bool replace_root(struct engine *e, struct set *set, uint32_t root, uint64_t beyond_before)
{
	bool fits = beyond(e) == beyond_before;

	if (root == set->root || !fits) {
		table_unref(&e->tables, root);
		return fits;
	}
	table_unref(&e->tables, set->root);
	set->root = root;
	number_write(&e->sets.numbers, &set->num);
	return true;
}

/* Any identity that no table knows yet? */
static bool new_identities(const struct engine *e)
{
	for (size_t i = 0; i < e->idents.fresh.n; i++) {
		const struct ident *ident = ident_get(&e->idents, e->idents.fresh.v[i]);

		if (ident && ident->fresh)
			return true;
	}
	return false;
}

/* A set whose policies are not known: a new identity has what its first address had. */
static uint32_t inherit(struct engine *e, const struct set *set)
{
	VEC(struct set_heir) heirs = {};
	uint32_t root;

	hmap_for_each(&e->heirs, i, node, after)
	{
		const struct heir *heir = (const struct heir *)node;

		vec_push(&heirs, (struct set_heir){ heir->from, heir->to });
	}
	root = set->both ? both_inherit(&e->sets, set->root, heirs.v, heirs.n)
			 : table_inherit(&e->sets, TABLE_CLASS, set->root, heirs.v, heirs.n);
	vec_done(&heirs);
	return root;
}

/* Sets in force learn the new identities before an address gets one; those that a program may
 * still be reading as well. False: one of them could not. */
static bool extend_sets(struct engine *e)
{
	bool fresh = new_identities(e), all = true;

	e->rows.phase = PLAN_FILL;
	for (size_t i = 0; i < e->sets.numbers.by_number.n; i++) {
		struct set *set = (struct set *)e->sets.numbers.by_number.v[i];
		uint64_t before = beyond(e);

		if (!set)
			continue;
		if (set->restored && set->pending) {
			set->pending = set->restored = false;
			set->compiled = true;
			all &= replace_root(e, set, set_adopt(&e->sets, set), before);
		} else if (set->restored) {
			all &= replace_root(e, set, inherit(e, set), before);
		} else if (fresh && set->compiled) {
			all &= replace_root(e, set, set_extend(&e->sets, set), before);
		}
	}
	return all;
}

/* Sets no column names yet. */
static void compile_sets(struct engine *e)
{
	e->rows.phase = PLAN_PREPARE;
	for (size_t i = 0; i < e->sets.fresh.n; i++) {
		struct set *set = e->sets.fresh.v[i];

		if (!set->pending || !set->num.refs)
			continue;
		table_unref(&e->tables, set->root);
		set->root = set_compile(&e->sets, set);
		set->compiled = true;
		if (set->num.born != e->rows.build)
			number_write(&e->sets.numbers, &set->num);
	}
}

static void settle_sets(struct engine *e)
{
	for (size_t i = 0; i < e->sets.fresh.n; i++)
		e->sets.fresh.v[i]->pending = false;
	e->sets.fresh.n = 0;
}

/* --- what does not fit --------------------------------------------------------------------- */

static bool seen(const struct policy *const *list, size_t count, const struct policy *policy)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == policy)
			return true;
	return false;
}

/* The policies whose compilation began with this build. */
static void name_policies(const struct engine *e, char *text, size_t size)
{
	const struct policy *named[NAMED_MAX];
	size_t count = 0, used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < e->sets.fresh.n; i++)
		for (size_t k = 0; k < e->sets.fresh.v[i]->part.n && count < NAMED_MAX; k++) {
			const struct cpol *cpol = e->sets.fresh.v[i]->part.v[k].cpol;
			const struct policy *policy = cpol ? cpol->policy : NULL;
			int n;

			if (!policy || seen(named, count, policy))
				continue;
			n = snprintf(text + used, size - used, "%s%s %s/%s", count ? ", " : "",
				     policy->kind, policy->namespace, policy->name);
			if (n < 0 || used + n >= size)
				return;
			used += n;
			named[count++] = policy;
		}
}

static int full(const struct engine *e, struct err *err)
{
	const struct {
		const char *map;
		const struct numbers *numbers;
	} kind[] = {
		{ "mg_pages", &e->tables.pages },	{ "mg_classes", &e->tables.classes },
		{ "mg_verdicts", &e->tables.verdicts }, { "mg_rule_dig", &e->tables.rules },
		{ "mg_sets", &e->sets.numbers },	{ "mg_ident_dig", &e->idents.numbers },
	};
	char policies[384];

	name_policies(e, policies, sizeof(policies));
	if (e->nets_over)
		return err_set(err, -ENOSPC, "mg_nets: %u rows are needed, %u fit; by %s",
			       e->limits.nets + e->nets_over, e->limits.nets, policies);
	for (size_t i = 0; i < sizeof(kind) / sizeof(kind[0]); i++)
		if (kind[i].numbers->over)
			return err_set(err, -ENOSPC, "%s: %u rows are needed, %u fit; by %s",
				       kind[i].map, kind[i].numbers->first + kind[i].numbers->used,
				       kind[i].numbers->limit, policies);
	return 0;
}

static void want_fixed(struct engine *e, struct want *want, uint32_t number)
{
	struct set *set = set_by_number(&e->sets, number);

	set_ref(&e->sets, set);
	want_clear(e, want);
	*want = (struct want){ number, set };
}

/* All or nothing: everybody keeps what is in force, also who wants a set that is there; a new
 * endpoint, that has nothing in force, gets nothing at all where its set does not fit. */
static void take_back(struct engine *e)
{
	for (size_t i = 0; i < e->columns.slot.n; i++) {
		struct slot *slot = &e->columns.slot.v[i];

		for (int stage = 0; slot->endpoint && stage < MG_STAGE_MAX; stage++) {
			struct want *want = &slot->endpoint->want[stage];
			uint32_t before = slot->row.set[e->columns.in_force][stage];

			if (slot->endpoint->fresh ? !want->set || !want->set->pending
						  : want->number == before)
				continue;
			slot->endpoint->dirty = e->lists_dirty = true;
			want_fixed(e, want, slot->endpoint->fresh ? MG_SET_DROP_ALL : before);
		}
	}
}

static void abort_numbers(struct engine *e)
{
	numbers_abort(&e->sets.numbers, e->rows.build);
	numbers_abort(&e->tables.pages, e->rows.build);
	numbers_abort(&e->tables.classes, e->rows.build);
	numbers_abort(&e->tables.verdicts, e->rows.build);
	numbers_abort(&e->tables.rules, e->rows.build);
	numbers_abort(&e->idents.numbers, e->rows.build);
}

/* --- the plan ------------------------------------------------------------------------------ */

static const struct numbers *numbers_of(const struct engine *e, enum plan_map map)
{
	switch (map) {
	case PLAN_PAGE:
		return &e->tables.pages;
	case PLAN_SET:
	case PLAN_SET_DIG:
		return &e->sets.numbers;
	case PLAN_CLASS:
		return &e->tables.classes;
	case PLAN_VERDICT:
		return &e->tables.verdicts;
	case PLAN_IDENT_DIG:
		return &e->idents.numbers;
	case PLAN_RULE_DIG:
		return &e->tables.rules;
	case PLAN_SLOT:
	case PLAN_COMMIT_ROW:
	case PLAN_MAPS:
		break;
	}
	return NULL;
}

/* Rows of numbers that were given and taken back; rule numbers that came into use again. */
static bool stale(const struct engine *e, struct plan_row *row)
{
	const struct numbers *numbers = numbers_of(e, row->map);
	bool there = numbers && numbers_get(numbers, row->key);

	if (!numbers || (row->map == PLAN_SET && row->key < MG_SET_FIRST))
		return false;
	if (row->key >= numbers->limit)
		return true;
	switch (row->map) {
	case PLAN_RULE_DIG:
		row->del = !there;
		return false;
	case PLAN_IDENT_DIG:
	case PLAN_SET_DIG:
		return false; /* zeroes where there is none */
	case PLAN_PAGE:
	case PLAN_SET:
	case PLAN_CLASS:
	case PLAN_VERDICT:
	case PLAN_SLOT:
	case PLAN_COMMIT_ROW:
	case PLAN_MAPS:
		break;
	}
	return !there;
}

static void plan_make(struct engine *e)
{
	struct plan *plan = &e->plan;

	plan->empty = !plan->commits && !e->move.n;
	for (int phase = 0; phase < PLAN_PHASES; phase++) {
		size_t n = 0;

		for (size_t i = 0; i < e->rows.row[phase].n; i++)
			if (!stale(e, &e->rows.row[phase].v[i]))
				e->rows.row[phase].v[n++] = e->rows.row[phase].v[i];
		e->rows.row[phase].n = n;
		plan->row[phase] = e->rows.row[phase].v;
		plan->row_count[phase] = n;
		plan->empty &= !n;
	}
	plan->move = e->move.v;
	plan->move_count = e->move.n;
	plan->changes = plan->commits || e->move.n;
}

int engine_build(struct engine *e, const struct plan **ret_plan, struct err *err)
{
	bool learned, held;
	int r;

	*ret_plan = &e->plan;
	if (e->built != e->applied)
		return 0;
	e->plan = (struct plan){ .empty = true };
	if (!columns_ready(e))
		return err_set(err, -EAGAIN, "no column is free before a grace period");
	e->plan = (struct plan){};
	e->move.n = 0;
	sets_trim(&e->sets);
	e->rows.phase = PLAN_PREPARE;
	if (!e->sets.allow_root)
		make_allow_all(e);
	lists_resolve(e);
	identify(e);
	e->nets_over = identify_fit(e);
	identify_order(e);
	compile_policies(e);
	learned = extend_sets(e) && !e->idents.numbers.over;
	held = !learned && hold_back(e);
	compile_sets(e);
	r = over(e) ? full(e, err) : 0;
	if (r) {
		e->starved = held || e->idents.numbers.over || e->nets_over;
		take_back(e);
		abort_numbers(e);
	}
	settle_sets(e);
	columns_prepare(e);
	heirs_forget(e);
	e->merge |= e->restored;
	e->restored = false;
	idents_settle(&e->idents);
	plan_make(e);
	e->built = e->rows.build++;
	e->failed = r != 0;
	e->pending = false;
	return r;
}

/* What only the dead referred to is free with them: no program came by it since. */
static void grace(struct engine *e, uint64_t build)
{
	struct columns *columns = &e->columns;
	uint64_t next = e->rows.build;

	e->rows.build = build;
	/* Nothing leads back to the column before, unless a deadline is pending: its sets need
	 * not learn new identities, and what only they told apart is told apart no longer. A
	 * column left by a commit that came after this grace began is still read. */
	if (columns->previous < MG_COLUMNS && columns->left[columns->previous] <= build &&
	    !columns->commit[columns->commit_row].deadline) {
		column_hold(e, columns->previous, false);
		columns->previous = MG_COLUMNS;
	}
	numbers_grace(&e->sets.numbers, build);
	numbers_grace(&e->tables.pages, build);
	numbers_grace(&e->tables.classes, build);
	numbers_grace(&e->tables.verdicts, build);
	numbers_grace(&e->tables.rules, build);
	numbers_grace(&e->idents.numbers, build);
	e->rows.build = next;
}

void engine_applied(struct engine *e)
{
	if (e->applied == e->built)
		return;
	e->applied = e->built;
	rows_clear(&e->rows);
	e->move.n = 0;
	/* A start moves every address; nothing after it comes near. */
	if (e->move.cap > MOVES_KEPT)
		vec_done(&e->move);
	e->plan = (struct plan){ .empty = true };
}

uint64_t engine_applied_build(const struct engine *e)
{
	return e->applied;
}

void engine_grace_done(struct engine *e, uint64_t build)
{
	e->graced = build;
	grace(e, build);
	e->pending |= e->failed; /* there may be room now */
	e->failed = false;
}

bool engine_pending(const struct engine *e)
{
	return e->pending || e->merge || e->atoms.dead.n;
}
