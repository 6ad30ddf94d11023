/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves of a build that is refused. Where a set in force has no room to learn a new identity,
 * an address that moved there would be denied what it may. It need not move: rules not yet in
 * force tell it apart, and for those in force the identity it had says the same. So it keeps
 * that one, and is looked at again by the next build. What moves for another reason (labels
 * that a rule in force asks for, an address that is new) moves, and is denied until there is room.
 */
#include "base/inet.h"
#include "policy/engine_state.h"

/* Atoms that sets ask which a program may be reading, a bit each. */
static uint64_t *atoms_asked(const struct engine *e)
{
	uint64_t *asked = xcalloc(e->atoms.by_index.n / 64 + 1, sizeof(*asked));

	for (size_t i = 0; i < e->sets.numbers.by_number.n; i++) {
		const struct set *set = (struct set *)e->sets.numbers.by_number.v[i];

		for (size_t k = 0; set && set->compiled && k < set->part.n; k++) {
			const struct cpol *cpol = set->part.v[k].cpol;

			for (size_t a = 0; cpol && a < cpol->atom.n; a++)
				asked[cpol->atom.v[a]->index / 64] |=
					1ULL << cpol->atom.v[a]->index % 64;
		}
	}
	return asked;
}

/* What of a key the rules in force can see. One reference. */
static struct truth *seen_of(struct engine *e, const struct ident_key *key, const uint64_t *asked)
{
	const struct truth *const half[] = { key->facts, key->nets };
	VEC(truth_entry) entry = {};
	struct truth *seen;

	for (int i = 0; i < 2; i++)
		for (uint32_t k = 0; k < half[i]->count; k++) {
			uint32_t atom = truth_atom(half[i]->entry[k]);

			if (asked[atom / 64] >> atom % 64 & 1)
				vec_push(&entry, half[i]->entry[k]);
		}
	seen = truth_intern(&e->truths, entry.v, entry.n);
	vec_done(&entry);
	return seen;
}

/* Do the rules in force tell what has this key from the identity it had? */
static bool told_apart(struct engine *e, uint16_t before, const struct ident_key *key,
		       const uint64_t *asked)
{
	const struct ident *ident = ident_get(&e->idents, before);
	struct truth *a, *b;

	if (ident->restored || ident->key.base != key->base)
		return true;
	a = seen_of(e, &ident->key, asked);
	b = seen_of(e, key, asked);
	truth_unref(&e->truths, a);
	truth_unref(&e->truths, b);
	return a != b;
}

/* Is the identity one that every table knows, and that says all there is to say? */
static bool settled(struct engine *e, uint16_t n, const struct ident_key *key)
{
	const struct ident *ident = ident_get(&e->idents, n);

	return !ident->fresh && ident_find(&e->idents, key) == ident;
}

static void give_back(struct engine *e, uint16_t *identity, uint16_t before)
{
	if (before != NO_IDENTITY)
		number_ref(&e->idents.numbers, numbers_get(&e->idents.numbers, before));
	ident_unref(&e->idents, *identity);
	*identity = before;
}

static bool hold_addr(struct engine *e, const struct plan_move *move, const uint64_t *asked)
{
	union mg_addr addr = move->prefix.addr; /* packed there */
	struct addr_row *row = addrs_find(&e->addrs, &addr);
	struct ident_key key = identify_addr_key(e, row);

	if (move->fresh || settled(e, row->identity, &key) ||
	    told_apart(e, move->before, &key, asked))
		return false;
	give_back(e, &row->identity, move->before);
	return true;
}

/* --- prefixes ------------------------------------------------------------------------------ */

/* What rows of mg_nets say before the moves, by number of the prefix. */
static uint16_t *net_rows_before(const struct engine *e)
{
	uint16_t *before = xcalloc(e->nets.net.n + 1, sizeof(*before));

	for (size_t i = 0; i < e->nets.net.n; i++)
		before[i] = e->nets.net.v[i].identity;
	for (size_t i = 0; i < e->move.n; i++) {
		const struct plan_move *move = &e->move.v[i];

		if (move->net && !move->gone)
			before[nets_find(&e->nets, &move->prefix) - e->nets.net.v] = move->before;
	}
	return before;
}

/* The identity that addresses of the prefix had, by its own row or one around it. */
static uint16_t region_had(const struct engine *e, const struct net *net, const uint16_t *before)
{
	bool is4 = prefix_is4(&net->prefix);
	uint32_t at = net - e->nets.net.v;

	while (at != NET_NONE && before[at] == NO_IDENTITY)
		at = e->nets.net.v[at].parent;
	if (at != NET_NONE)
		return before[at];
	return is4 ? MG_IDENT_WORLD4 : MG_IDENT_WORLD6;
}

static bool hold_net(struct engine *e, const struct plan_move *move, const uint64_t *asked,
		     const uint16_t *before)
{
	struct net *net = nets_find(&e->nets, &move->prefix);
	struct ident_key key = identify_net_key(e, net);

	if ((move->fresh && net->owned) || settled(e, net->identity, &key) ||
	    told_apart(e, region_had(e, net, before), &key, asked))
		return false;
	give_back(e, &net->identity, move->before);
	return true;
}

bool hold_back(struct engine *e)
{
	uint64_t *asked = atoms_asked(e);
	uint16_t *before = net_rows_before(e);
	size_t kept = 0, count = e->move.n;

	for (size_t i = 0; i < count; i++) {
		const struct plan_move now = e->move.v[i];

		if (now.gone ||
		    !(now.net ? hold_net(e, &now, asked, before) : hold_addr(e, &now, asked)))
			e->move.v[kept++] = now;
	}
	e->move.n = kept;
	free(asked);
	free(before);
	return kept < count;
}
