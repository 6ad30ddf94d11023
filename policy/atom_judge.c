/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The truth of atoms on facts. New facts ask the atoms that hang on their labels; new atoms ask
 * the facts that bear their label, through an index made for the occasion when many are new.
 */
#include <string.h>

#include "model/selector.h"
#include "policy/atom.h"

#define INDEX_FROM 8 /* fresh atoms from which an index pays */

static bool holds(const struct atom *atom, struct facts *facts)
{
	if (facts->kind == ENGINE_OUTSIDE)
		return false;
	if (facts->kind == ENGINE_DOMAINS && atom->kind != ATOM_ALLOWED)
		return false;
	return !atom->selector || selector_eval(atom->selector, facts_lookup, facts);
}

/* Pushes the entries of one atom for these facts. */
static void ask(struct atoms *atoms, const struct atom *atom, struct facts *facts)
{
	if (!holds(atom, facts))
		return;
	if (atom->kind == ATOM_SELECTOR || atom->kind == ATOM_ALLOWED)
		vec_push(&atoms->scratch, truth_make(atom->index, 0));
	for (uint32_t i = 0; atom->kind == ATOM_PORT && i < facts->port_count; i++) {
		const struct facts_port *port = &facts->port[i];

		if (!strcmp(port->name->key, atom->name))
			vec_push(&atoms->scratch,
				 truth_make(atom->index, port->proto << 16 | port->number));
	}
}

static void ask_anchored(struct atoms *atoms, const struct tag *label, struct facts *facts)
{
	for (size_t i = 0; i < label->anchored.n; i++)
		if (!label->anchored.v[i]->fresh)
			ask(atoms, label->anchored.v[i], facts);
}

static void judge_facts(struct atoms *atoms, struct facts *facts)
{
	atoms->scratch.n = 0;
	for (int set = 0; set < 3; set++)
		for (uint32_t i = 0; i < facts->set[set]->count; i++)
			ask_anchored(atoms, facts->set[set]->label[i], facts);
	for (uint32_t i = 0; i < facts->port_count; i++)
		ask_anchored(atoms, facts->port[i].name, facts);
	for (size_t i = 0; i < atoms->global.n; i++)
		if (!atoms->global.v[i]->fresh)
			ask(atoms, atoms->global.v[i], facts);
	facts->truth = truth_intern(atoms->facts->truths, atoms->scratch.v, atoms->scratch.n);
}

/* --- fresh atoms --------------------------------------------------------------------------- */

struct hit {
	struct facts *facts;
	truth_entry entry;
};

typedef VEC(struct hit) hit_vec;

static void ask_one(struct atoms *atoms, const struct atom *atom, struct facts *facts,
		    hit_vec *hits)
{
	atoms->scratch.n = 0;
	ask(atoms, atom, facts);
	for (size_t i = 0; i < atoms->scratch.n; i++)
		vec_push(hits, (struct hit){ facts, atoms->scratch.v[i] });
}

static void ask_everyone(struct atoms *atoms, const struct atom *atom, hit_vec *hits)
{
	for (size_t i = 0; i < atoms->facts->by_index.n; i++)
		if (atoms->facts->by_index.v[i])
			ask_one(atoms, atom, atoms->facts->by_index.v[i], hits);
}

static void bearer_add(struct tag *label, struct facts *facts)
{
	if (label->anchored.n)
		vec_push(&label->bearers, facts);
}

static void index_make(struct atoms *atoms)
{
	for (size_t i = 0; i < atoms->facts->by_index.n; i++) {
		struct facts *facts = atoms->facts->by_index.v[i];

		for (int set = 0; facts && set < 3; set++)
			for (uint32_t k = 0; k < facts->set[set]->count; k++)
				bearer_add(facts->set[set]->label[k], facts);
		for (uint32_t k = 0; facts && k < facts->port_count; k++)
			if (!k || facts->port[k].name != facts->port[k - 1].name)
				bearer_add(facts->port[k].name, facts);
	}
}

static void index_drop(struct atoms *atoms)
{
	hmap_for_each(&atoms->facts->labels, i, node, after)
		vec_done(&((struct tag *)node)->bearers);
}

static void ask_bearers(struct atoms *atoms, const struct atom *atom, hit_vec *hits)
{
	for (size_t i = 0; i < atom->anchors.n; i++) {
		const struct tag *label = atom->anchors.v[i];

		for (size_t k = 0; k < label->bearers.n; k++)
			ask_one(atoms, atom, label->bearers.v[k], hits);
	}
}

static int hit_cmp(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->facts != y->facts)
		return x->facts->index < y->facts->index ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static bool apply(struct atoms *atoms, hit_vec *hits)
{
	if (hits->n)
		qsort(hits->v, hits->n, sizeof(*hits->v), hit_cmp);
	for (size_t i = 0; i < hits->n;) {
		struct facts *facts = hits->v[i].facts;
		struct truth *old = facts->truth;

		for (atoms->scratch.n = 0; i < hits->n && hits->v[i].facts == facts; i++)
			vec_push(&atoms->scratch, hits->v[i].entry);
		facts->truth =
			truth_with(atoms->facts->truths, old, atoms->scratch.v, atoms->scratch.n);
		truth_unref(atoms->facts->truths, old);
		facts->changed = true;
	}
	return hits->n;
}

static bool judge_atoms(struct atoms *atoms)
{
	bool indexed = atoms->fresh.n >= INDEX_FROM, changed;
	hit_vec hits = {};

	if (indexed)
		index_make(atoms);
	for (size_t i = 0; i < atoms->fresh.n; i++) {
		struct atom *atom = atoms->fresh.v[i];

		atom->fresh = false;
		if (atom->kind == ATOM_NETS || atom->kind == ATOM_SERVICE ||
		    atom->kind == ATOM_DOMAINS)
			continue;
		if (indexed && !atom->global)
			ask_bearers(atoms, atom, &hits);
		else
			ask_everyone(atoms, atom, &hits);
	}
	if (indexed)
		index_drop(atoms);
	changed = apply(atoms, &hits);
	vec_done(&hits);
	return changed;
}

bool atoms_judge(struct atoms *atoms)
{
	struct facts_table *table = atoms->facts;
	bool changed;

	for (size_t i = 0; i < table->fresh.n; i++)
		judge_facts(atoms, table->fresh.v[i]);
	table->fresh.n = 0;
	changed = atoms->fresh.n && judge_atoms(atoms);
	atoms->fresh.n = 0;
	return changed;
}
