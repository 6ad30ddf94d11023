/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of host endpoints whose policies ask something of their near end, which may be any address:
 * of the node, of a pod behind it, of the world. Near identities for which the near ends of all
 * rules come out alike share a table of far identities; those that do not are few.
 *
 * The tables are made anew whenever identities come: equal pages are known by content, so what does
 * not change is not written.
 */
#include <string.h>

#include "policy/set.h"

/* Near identities of one kind: the policies as they are for them, and their table. */
struct kind {
	struct set_part *part; /* as many as the set has; references of those of both ends */
	uint32_t root;
};

struct kinds {
	const struct set *set;
	VEC(struct kind) kind;
	VEC(struct run) run; /* near identity -> root */
};

static void part_drop(struct sets *sets, const struct set *set, struct set_part *part)
{
	for (size_t i = 0; i < set->part.n; i++)
		if (part[i].cpol && set->part.v[i].cpol->both)
			cpol_unref(sets->compiler, part[i].cpol);
	free(part);
}

static struct set_part *part_for(struct sets *sets, const struct set *set, const struct ident *near)
{
	struct set_part *part = xcalloc(set->part.n, sizeof(*part));

	memcpy(part, set->part.v, set->part.n * sizeof(*part));
	for (size_t i = 0; i < set->part.n; i++)
		if (part[i].cpol && part[i].cpol->both)
			part[i].cpol = cpol_variant(sets->compiler, part[i].cpol, near);
	return part;
}

static bool part_same(const struct set *set, const struct set_part *a, const struct set_part *b)
{
	for (size_t i = 0; i < set->part.n; i++)
		if (a[i].cpol != b[i].cpol)
			return false;
	return true;
}

/* The table of a near identity; the kind holds it. */
static uint32_t root_for(struct sets *sets, struct kinds *kinds, const struct ident *near)
{
	struct set_part *part = part_for(sets, kinds->set, near);
	uint32_t root;

	for (size_t i = 0; i < kinds->kind.n; i++) {
		if (!part_same(kinds->set, kinds->kind.v[i].part, part))
			continue;
		part_drop(sets, kinds->set, part);
		return kinds->kind.v[i].root;
	}
	root = parts_compile(sets, part, kinds->set->part.n);
	vec_push(&kinds->kind, (struct kind){ part, root });
	return root;
}

static void kinds_done(struct sets *sets, struct kinds *kinds)
{
	for (size_t i = 0; i < kinds->kind.n; i++) {
		table_unref(sets->tables, kinds->kind.v[i].root);
		part_drop(sets, kinds->set, kinds->kind.v[i].part);
	}
	vec_done(&kinds->kind);
	vec_done(&kinds->run);
}

/* restored: identities of which only the number is known keep what the set's table says. */
static uint32_t make(struct sets *sets, const struct set *set, bool restored)
{
	struct kinds kinds = { .set = set };
	uint32_t root, at = 0;

	ident_for_each(sets->idents, ident)
	{
		uint16_t n = ident->num.number;

		if (ident->num.number >= sets->idents->numbers.limit)
			continue;
		if (n > at) /* numbers nobody has */
			vec_push(&kinds.run, (struct run){ (uint16_t)at, 0 });
		vec_push(&kinds.run,
			 (struct run){ n, restored && ident->restored
						  ? table_get(sets->tables, set->root, n)
						  : root_for(sets, &kinds, ident) });
		at = n + 1U;
	}
	vec_push(&kinds.run, (struct run){ (uint16_t)at, 0 });
	root = table_build(sets->tables, TABLE_ROOT, kinds.run.v, kinds.run.n);
	kinds_done(sets, &kinds);
	return root;
}

uint32_t both_compile(struct sets *sets, struct set *set)
{
	return make(sets, set, false);
}

uint32_t both_adopt(struct sets *sets, struct set *set)
{
	return make(sets, set, true);
}

/* --- sets whose policies are not known ----------------------------------------------------- */

uint32_t table_inherit(struct sets *sets, enum table_kind kind, uint32_t root,
		       const struct set_heir *heir, size_t count)
{
	uint32_t now = root, next;

	table_ref(sets->tables, root);
	for (size_t i = 0; i < count; i++) {
		struct table_entry entry = { heir[i].to,
					     table_get(sets->tables, root, heir[i].from) };

		next = table_with(sets->tables, kind, now, &entry, 1);
		table_unref(sets->tables, now);
		now = next;
	}
	return now;
}

/* Far ends first, in the table of every near identity, then the near ones. */
uint32_t both_inherit(struct sets *sets, uint32_t root, const struct set_heir *heir, size_t count)
{
	uint32_t now, next;

	now = root;
	table_ref(sets->tables, root);
	for (uint32_t n = 0; count && n < sets->idents->numbers.limit; n++) {
		uint32_t far = table_get(sets->tables, root, (uint16_t)n);
		struct table_entry entry = { (uint16_t)n, 0 };

		if (!far)
			continue;
		entry.value = table_inherit(sets, TABLE_CLASS, far, heir, count);
		next = table_with(sets->tables, TABLE_ROOT, now, &entry, 1);
		table_unref(sets->tables, entry.value);
		table_unref(sets->tables, now);
		now = next;
	}
	next = table_inherit(sets, TABLE_ROOT, now, heir, count);
	table_unref(sets->tables, now);
	return next;
}
