/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities of addresses and prefixes, brought up to what is true of them now.
 *
 * Where rules begin to tell addresses apart, an identity whose addresses all go the same way
 * keeps its number: it is only known by more atoms than before. Only where they part do some
 * move. That holds while the facts of an address stay; an address whose labels change moves.
 */
#include "policy/engine_state.h"

#include <string.h>

#include "base/inet.h"

#define RANGES_LINEAR 16

/* Prefixes in which something changed. */
typedef VEC(struct mg_prefix) range_list;

static struct mg_prefix host_prefix(const union mg_addr *addr)
{
	return (struct mg_prefix){ .len = MG_ADDR_BITS, .addr = *addr };
}

static enum ident_base family_base(const struct mg_prefix *prefix)
{
	return prefix_is4(prefix) ? BASE_WORLD4 : BASE_WORLD6;
}

static struct ident_key addr_key(struct engine *e, const struct addr_row *row, struct truth *nets)
{
	struct mg_prefix prefix = host_prefix(&row->addr);

	if (!nets) {
		const struct net *net = nets_match(&e->nets, &prefix);

		nets = net ? net->all : e->truths.none;
	}
	return (struct ident_key){ .facts = e->facts.by_index.v[row->facts]->truth,
				   .nets = nets,
				   .base = family_base(&prefix) };
}

static struct ident_key net_key(struct engine *e, const struct net *net)
{
	enum ident_base base = family_base(&net->prefix);

	return (struct ident_key){ .facts = e->truths.none,
				   .nets = net->all,
				   .base = net->unknown ? base + BASE_UNKNOWN4 : base };
}

struct ident_key identify_addr_key(struct engine *e, const struct addr_row *row)
{
	return addr_key(e, row, NULL);
}

struct ident_key identify_net_key(struct engine *e, const struct net *net)
{
	return net_key(e, net);
}

/* --- where something changed --------------------------------------------------------------- */

static void ranges_gather(struct engine *e, range_list *ranges)
{
	for (size_t i = 0; i < e->nets.net.n; i++) {
		const struct net *net = &e->nets.net.v[i];
		bool inside = net->parent != NET_NONE && e->nets.net.v[net->parent].touched;

		if (net->touched && !inside)
			vec_push(ranges, net->prefix);
	}
	for (size_t i = 0; i < e->nets.gone.n; i++)
		vec_push(ranges, e->nets.gone.v[i].prefix);
}

static bool ranges_hit(const range_list *ranges, const union mg_addr *addr)
{
	if (ranges->n > RANGES_LINEAR)
		return true;
	for (size_t i = 0; i < ranges->n; i++)
		if (prefix_contains(&ranges->v[i], addr))
			return true;
	return false;
}

/* --- moving -------------------------------------------------------------------------------- */

/* The identity for key of something that has `old`; its reference is exchanged. */
static uint16_t exchange(struct engine *e, uint16_t old, const struct ident_key *key)
{
	struct ident *ident = ident_get(&e->idents, old);
	struct ident *found = ident_find(&e->idents, key);
	uint16_t n;

	if (found == ident)
		return old;
	if (!found && !e->regions && old >= MG_IDENT_FIRST && ident->leaving == ident->num.refs &&
	    ident->key.base == key->base) {
		ident->leaving = 0;
		ident->nets_before = truth_ref(ident->key.nets);
		ident_rename(&e->idents, ident, key);
		return old;
	}
	n = ident_of(&e->idents, key);
	if (ident->leaving)
		ident->leaving--;
	ident_unref(&e->idents, old);
	return n;
}

static void move(struct engine *e, const struct mg_prefix *prefix, bool net, uint16_t from,
		 uint16_t to)
{
	if (from == to)
		return;
	vec_push(&e->move, (struct plan_move){ .prefix = *prefix,
					       .net = net,
					       .identity = to == NO_IDENTITY ? 0 : to,
					       .before = from,
					       .gone = to == NO_IDENTITY,
					       .fresh = from == NO_IDENTITY });
}

/* --- addresses ----------------------------------------------------------------------------- */

/* Those whose facts are new, and those that are gone. */
static void identify_dirty(struct engine *e)
{
	for (size_t i = 0; i < e->addrs.dirty.n; i++) {
		const struct addr_dirty *dirty = &e->addrs.dirty.v[i];
		struct addr_row *row = addrs_find(&e->addrs, &dirty->addr);
		struct mg_prefix prefix = host_prefix(&dirty->addr);

		if (row && row->flags & ADDR_DIRTY) {
			struct ident_key key = addr_key(e, row, NULL);

			row->identity = reidentify(e, &prefix, dirty->identity, &key);
			row->flags &= ~ADDR_DIRTY;
			move(e, &prefix, false, dirty->identity, row->identity);
		} else if (!row && !e->restored) {
			move(e, &prefix, false, dirty->identity, NO_IDENTITY);
		}
	}
	e->addrs.dirty.n = 0;
	if (e->addrs.dirty.cap > 1024)
		vec_done(&e->addrs.dirty);
}

static bool affected(struct engine *e, const struct addr_row *row, const range_list *ranges)
{
	if (row->flags & ADDR_DIRTY)
		return false;
	return e->facts.by_index.v[row->facts]->changed || ranges_hit(ranges, &row->addr);
}

static struct ident_key row_key(struct engine *e, const struct addr_row *row,
				const range_list *ranges)
{
	const struct ident *ident = ident_get(&e->idents, row->identity);
	struct truth *nets = ident->nets_before ? ident->nets_before : ident->key.nets;

	return addr_key(e, row, ranges_hit(ranges, &row->addr) ? NULL : nets);
}

static void leave(struct engine *e, uint16_t n, const struct ident_key *key)
{
	struct ident *ident = ident_get(&e->idents, n);

	ident->leaving += !ident_key_equal(&ident->key, key);
}

static void count_leaving(struct engine *e, const range_list *ranges)
{
	struct ident_key key;

	addr_for_each(&e->addrs, row)
	{
		if (!affected(e, row, ranges))
			continue;
		key = row_key(e, row, ranges);
		leave(e, row->identity, &key);
	}
	for (size_t i = 0; i < e->nets.net.n; i++) {
		const struct net *net = &e->nets.net.v[i];

		if (!net->touched || net->identity == NO_IDENTITY)
			continue;
		key = net_key(e, net);
		leave(e, net->identity, &key);
	}
}

static void identify_addrs(struct engine *e, const range_list *ranges, bool merged)
{
	addr_for_each(&e->addrs, row)
	{
		uint16_t old = row->identity;
		struct ident_key key;

		if (row->flags & ADDR_DIRTY || (!merged && !affected(e, row, ranges)))
			continue;
		key = row_key(e, row, ranges);
		row->identity = exchange(e, old, &key);
		if (row->identity != old) {
			struct mg_prefix prefix = host_prefix(&row->addr);

			move(e, &prefix, false, old, row->identity);
		}
	}
}

/* --- prefixes ------------------------------------------------------------------------------ */

static void identify_net(struct engine *e, struct net *net)
{
	struct ident_key key = net_key(e, net);
	uint16_t old = net->identity, before = old, row = old;

	/* A row from before a restart that nobody wanted then may be wanted in the build after. */
	if (old == NO_IDENTITY && net_wanted(&e->nets, net))
		row = known_get(e, &net->prefix, true);
	if (e->restored)
		before = row;
	if (!net_wanted(&e->nets, net)) {
		if (old != NO_IDENTITY)
			ident_unref(&e->idents, old);
		net->identity = NO_IDENTITY;
	} else if (old == NO_IDENTITY) {
		net->identity = reidentify(e, &net->prefix, before, &key);
	} else {
		net->identity = exchange(e, old, &key);
	}
	move(e, &net->prefix, true, row, net->identity);
}

static void identify_nets(struct engine *e, bool touched, bool merged)
{
	for (size_t i = 0; (touched || merged) && i < e->nets.net.n; i++) {
		struct net *net = &e->nets.net.v[i];

		if (merged || net->touched)
			identify_net(e, net);
	}
	for (size_t i = 0; i < e->nets.gone.n; i++) {
		const struct net *net = &e->nets.gone.v[i];

		if (net->identity != NO_IDENTITY)
			ident_unref(&e->idents, net->identity);
		move(e, &net->prefix, true, net->identity, NO_IDENTITY);
	}
}

static bool stands(const struct engine *e, const struct known *known)
{
	const struct net *net = known->net ? nets_find(&e->nets, &known->prefix) : NULL;
	union mg_addr addr = known->prefix.addr;

	return known->net ? net && net->identity != NO_IDENTITY
			  : addrs_find(&e->addrs, &addr) != NULL;
}

/* Rows from before a restart that nothing stands behind now: found out by the first build, and
 * removed by the next, after the commit that leaves the sets behind which may tell them apart. */
static void leave_known(struct engine *e)
{
	hmap_for_each(&e->known, i, node, after)
	{
		struct known *known = (struct known *)node;

		if (!stands(e, known)) {
			if (!e->restored)
				move(e, &known->prefix, known->net, known->identity, NO_IDENTITY);
			continue;
		}
		hmap_del(&e->known, node);
		free(known);
	}
	if (!e->restored)
		known_forget(e);
}

/* --- atoms --------------------------------------------------------------------------------- */

static bool drop_atoms(struct engine *e)
{
	uint64_t *dead = atoms_dead(&e->atoms);

	if (!dead)
		return false;
	truths_without(&e->truths, dead);
	for (size_t i = 0; i < e->facts.by_index.n; i++)
		if (e->facts.by_index.v[i] && e->facts.by_index.v[i]->truth)
			truth_follow(&e->truths, &e->facts.by_index.v[i]->truth);
	nets_follow(&e->nets, dead);
	idents_follow(&e->idents);
	truths_settle(&e->truths);
	atoms_drop(&e->atoms, dead);
	free(dead);
	return true;
}

static void add_nets(struct engine *e, struct atom *atom)
{
	for (uint32_t i = 0; i < atom->net_count; i++)
		nets_entry(&e->nets, &atom->net[i], truth_make(atom->index, 0), true);
	if (atom->kind == ATOM_SERVICE)
		service_begin(e, atom);
	if (atom->kind == ATOM_DOMAINS)
		domains_atom(e, atom);
}

static void settle_idents(struct engine *e)
{
	ident_for_each(&e->idents, ident)
	{
		ident->leaving = 0;
		truth_unref(&e->truths, ident->nets_before);
		ident->nets_before = NULL;
	}
}

void identify(struct engine *e)
{
	bool merged = drop_atoms(e), changed, touched;
	range_list ranges = {};

	for (size_t i = 0; i < e->atoms.fresh.n; i++)
		add_nets(e, e->atoms.fresh.v[i]);
	changed = atoms_judge(&e->atoms);
	e->nets.again |= changed && netsets_changed(&e->netsets);
	touched = nets_update(&e->nets);
	ranges_gather(e, &ranges);
	if (e->starved)
		vec_push(&ranges, (struct mg_prefix){});
	merged |= e->starved || e->merge;
	e->starved = e->merge = false;
	reidentify_plan(e);
	if (changed || touched)
		count_leaving(e, &ranges);
	if (changed || touched || merged)
		identify_addrs(e, &ranges, merged);
	identify_nets(e, touched, merged);
	identify_dirty(e);
	leave_known(e);
	for (size_t i = 0; changed && i < e->facts.by_index.n; i++)
		if (e->facts.by_index.v[i])
			e->facts.by_index.v[i]->changed = false;
	if (changed || touched)
		settle_idents(e);
	e->regions = false;
	vec_done(&ranges);
}

static uint32_t net_rows(const struct engine *e)
{
	uint32_t rows = 0;

	for (size_t i = 0; i < e->nets.net.n; i++)
		rows += e->nets.net.v[i].identity != NO_IDENTITY;
	return rows;
}

/* A prefix without a row is what the one around it is, which is right while no set in force knows
 * better. Pools and blocks keep theirs. The next build looks at all of them again. */
uint32_t identify_fit(struct engine *e)
{
	uint32_t rows = net_rows(e);
	size_t kept = 0;

	if (rows <= e->limits.nets)
		return 0;
	for (size_t i = 0; i < e->move.n; i++) {
		struct plan_move *now = &e->move.v[i];
		struct net *net = now->net && now->fresh ? nets_find(&e->nets, &now->prefix) : NULL;

		if (!net || net->owned) {
			e->move.v[kept++] = *now;
			continue;
		}
		ident_unref(&e->idents, net->identity);
		net->identity = NO_IDENTITY;
	}
	e->move.n = kept;
	return rows - e->limits.nets;
}

/* --- order --------------------------------------------------------------------------------- */

/* An exact row is found before any prefix. */
static int move_len(const struct plan_move *move)
{
	return move->net ? move->prefix.len : MG_ADDR_BITS + 1;
}

/* Longest match goes from the old row of an address to its new one at once, never by way of a
 * third: what stays or comes is written from the inside out, so that an address does not
 * meet a new row around one still to come; then what is gone is removed from the outside in, so
 * that nothing falls back on a row that goes as well. */
static int move_cmp(const void *a, const void *b)
{
	const struct plan_move *x = a, *y = b;

	if (x->gone != y->gone)
		return x->gone - y->gone;
	return x->gone ? move_len(x) - move_len(y) : move_len(y) - move_len(x);
}

void identify_order(struct engine *e)
{
	if (e->move.n > 1)
		qsort(e->move.v, e->move.n, sizeof(*e->move.v), move_cmp);
}
