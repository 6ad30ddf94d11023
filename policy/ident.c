/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ident.h"

#include <string.h>

#include "policy/digest.h"

#define IDENTITIES_MAX 65535 /* the last number means none */

static uint32_t key_hash(const struct ident_key *key)
{
	return hash_u64((uintptr_t)key->facts, hash_u64((uintptr_t)key->nets, key->base));
}

struct ident *ident_get(const struct idents *idents, uint16_t n)
{
	return (struct ident *)numbers_get(&idents->numbers, n);
}

struct ident *ident_find(const struct idents *idents, const struct ident_key *key)
{
	struct hnode *node = hmap_first(&idents->numbers.by_content, key_hash(key));
	struct ident *best = NULL;

	for (; node; node = hmap_same(node)) {
		struct ident *ident = (struct ident *)node;

		if (ident->restored || !ident_key_equal(&ident->key, key))
			continue;
		/* The living before the dead, then the lower number. */
		if (!best || !best->num.refs > !ident->num.refs ||
		    (!best->num.refs == !ident->num.refs && ident->num.number < best->num.number))
			best = ident;
	}
	return best;
}

static void key_hold(struct idents *idents, struct ident *ident, const struct ident_key *key)
{
	struct ident_key old = ident->key;

	ident->key = (struct ident_key){ .facts = truth_ref(key->facts),
					 .nets = truth_ref(key->nets),
					 .base = key->base };
	truth_unref(idents->truths, old.facts);
	truth_unref(idents->truths, old.nets);
}

/* --- digests ------------------------------------------------------------------------------- */

static int digest_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct mg_digest));
}

static void push_digests(struct idents *idents, const struct truth *truth)
{
	for (uint32_t i = 0; i < truth->count; i++) {
		uint32_t value = (uint32_t)truth->entry[i];
		struct mg_digest digest = *atom_digest(
			idents->atoms, idents->atoms->by_index.v[truth_atom(truth->entry[i])]);

		for (int k = 0; k < 4; k++)
			digest.b[k] ^= value >> 8 * k;
		vec_push(&idents->scratch, digest);
	}
}

/* Of the atoms' texts, whatever their numbers are. */
static struct mg_digest digest_make(struct idents *idents, const struct ident_key *key)
{
	struct mg_digest digest = { .b = "identity" };

	digest.b[15] = key->base;
	idents->scratch.n = 0;
	vec_push(&idents->scratch, digest);
	push_digests(idents, key->facts);
	vec_push(&idents->scratch, (struct mg_digest){ .b = "nets" });
	push_digests(idents, key->nets);
	qsort(idents->scratch.v, idents->scratch.n, sizeof(*idents->scratch.v), digest_cmp);
	digest_of(idents->scratch.v, idents->scratch.n * sizeof(*idents->scratch.v), &digest);
	return digest;
}

/* --- life ---------------------------------------------------------------------------------- */

static void atoms_push(struct idents *idents, const struct truth *truth, uint16_t n, bool fresh)
{
	for (uint32_t i = 0; i < truth->count; i++) {
		struct atom *atom = idents->atoms->by_index.v[truth_atom(truth->entry[i])];

		/* An atom has several entries, or is true by labels and by nets. */
		if (atom->identities.n && atom->identities.v[atom->identities.n - 1] == n)
			continue;
		vec_push(&atom->identities, n);
		if (fresh)
			vec_push(&atom->new_identities, n);
	}
}

static void atoms_pull(struct idents *idents, const struct truth *truth, uint16_t n)
{
	for (uint32_t i = 0; i < truth->count; i++) {
		struct atom *atom = idents->atoms->by_index.v[truth_atom(truth->entry[i])];

		for (size_t k = 0; atom && k < atom->identities.n; k++) {
			if (atom->identities.v[k] != n)
				continue;
			atom->identities.v[k] = atom->identities.v[--atom->identities.n];
			break;
		}
	}
}

static void ident_free(void *ctx, struct number *number)
{
	struct ident *ident = (struct ident *)number;
	struct idents *idents = ctx;

	if (!ident->restored) {
		atoms_pull(idents, ident->key.facts, number->number);
		atoms_pull(idents, ident->key.nets, number->number);
	}
	truth_unref(idents->truths, ident->key.facts);
	truth_unref(idents->truths, ident->key.nets);
	if (number->number >= MG_IDENT_FIRST)
		rows_add(idents->numbers.rows, PLAN_IDENT_DIG, number->number, false);
	free(ident);
}

/* Atoms learn of an identity that no table may know yet. */
static void introduce(struct idents *idents, struct ident *ident)
{
	vec_push(&idents->fresh, ident->num.number);
	atoms_push(idents, ident->key.facts, ident->num.number, true);
	atoms_push(idents, ident->key.nets, ident->num.number, true);
}

static struct ident *ident_make(struct idents *idents, const struct ident_key *key)
{
	struct ident *ident = xcalloc(1, sizeof(*ident));

	ident->digest = digest_make(idents, key);
	numbers_add(&idents->numbers, &ident->num, key_hash(key));
	key_hold(idents, ident, key);
	ident->fresh = true;
	if (ident->num.number < idents->numbers.limit)
		introduce(idents, ident);
	return ident;
}

/* A number with one reference, or what stands in for one where none is left. */
static uint16_t within_limit(struct idents *idents, struct ident *ident)
{
	enum ident_base base = ident->key.base;
	uint32_t n = ident->num.number;

	if (n < idents->numbers.limit)
		return n;
	number_unref(&idents->numbers, &ident->num);
	n = base_unknown(base) ? base : base + BASE_UNKNOWN4;
	number_ref(&idents->numbers, numbers_get(&idents->numbers, n));
	return n;
}

uint16_t ident_apart(struct idents *idents, const struct ident_key *key)
{
	return within_limit(idents, ident_make(idents, key));
}

uint16_t ident_revive(struct idents *idents, struct ident *ident, const struct ident_key *key)
{
	struct mg_digest digest = digest_make(idents, key);

	number_ref(&idents->numbers, &ident->num);
	if (!ident->restored)
		return ident->num.number;
	ident->restored = false;
	hmap_del(&idents->numbers.by_content, &ident->num.node);
	key_hold(idents, ident, key);
	hmap_add(&idents->numbers.by_content, &ident->num.node, key_hash(key));
	introduce(idents, ident);
	if (memcmp(&ident->digest, &digest, sizeof(digest)))
		number_write(&idents->numbers, &ident->num);
	ident->digest = digest;
	return ident->num.number;
}

struct mg_digest ident_digest(struct idents *idents, const struct ident_key *key)
{
	return digest_make(idents, key);
}

uint16_t ident_of(struct idents *idents, const struct ident_key *key)
{
	struct ident *ident = ident_find(idents, key);

	if (ident)
		number_ref(&idents->numbers, &ident->num);
	else
		ident = ident_make(idents, key);
	return within_limit(idents, ident);
}

void ident_unref(struct idents *idents, uint16_t n)
{
	number_unref(&idents->numbers, numbers_get(&idents->numbers, n));
}

void ident_rename(struct idents *idents, struct ident *ident, const struct ident_key *key)
{
	uint16_t n = ident->num.number;

	atoms_pull(idents, ident->key.facts, n);
	atoms_pull(idents, ident->key.nets, n);
	hmap_del(&idents->numbers.by_content, &ident->num.node);
	key_hold(idents, ident, key);
	hmap_add(&idents->numbers.by_content, &ident->num.node, key_hash(key));
	atoms_push(idents, key->facts, n, ident->fresh);
	atoms_push(idents, key->nets, n, ident->fresh);
	ident->digest = digest_make(idents, key);
	number_write(&idents->numbers, &ident->num);
}

void idents_follow(struct idents *idents)
{
	ident_for_each(idents, ident)
	{
		bool changed;

		if (ident->restored)
			continue;
		changed = truth_follow(idents->truths, &ident->key.facts);
		changed |= truth_follow(idents->truths, &ident->key.nets);
		if (!changed)
			continue;
		hmap_del(&idents->numbers.by_content, &ident->num.node);
		hmap_add(&idents->numbers.by_content, &ident->num.node, key_hash(&ident->key));
		ident->digest = digest_make(idents, &ident->key);
		number_write(&idents->numbers, &ident->num);
	}
}

void ident_restore(struct idents *idents, uint16_t n, const struct mg_digest *digest)
{
	struct ident *ident = xcalloc(1, sizeof(*ident));

	ident->digest = *digest;
	ident->restored = true;
	ident->key = (struct ident_key){ truth_ref(idents->truths->none),
					 truth_ref(idents->truths->none), BASE_WORLD4 };
	numbers_restore(&idents->numbers, &ident->num, hash_bytes(digest, sizeof(*digest), 0), n);
}

void idents_settle(struct idents *idents)
{
	for (size_t i = 0; i < idents->fresh.n; i++) {
		struct ident *ident = ident_get(idents, idents->fresh.v[i]);

		if (ident)
			ident->fresh = false;
	}
	idents->fresh.n = 0;
	for (size_t i = 0; i < idents->atoms->by_index.n; i++)
		if (idents->atoms->by_index.v[i])
			idents->atoms->by_index.v[i]->new_identities.n = 0;
}

bool ident_has(const struct ident *ident, const struct atom *atom)
{
	return truth_find(ident->key.facts, atom->index) < ident->key.facts->count ||
	       truth_find(ident->key.nets, atom->index) < ident->key.nets->count;
}

/* --- beginning and end --------------------------------------------------------------------- */

static void base_add(struct idents *idents, enum ident_base base)
{
	struct ident_key key = { idents->truths->none, idents->truths->none, base };
	struct ident *ident = xcalloc(1, sizeof(*ident));

	numbers_add(&idents->numbers, &ident->num, key_hash(&key));
	key_hold(idents, ident, &key);
	ident->digest = digest_make(idents, &key);
}

void idents_init(struct idents *idents, struct rows *rows, uint32_t limit, struct truths *truths,
		 struct atoms *atoms)
{
	*idents = (struct idents){ .truths = truths, .atoms = atoms };
	numbers_init(&idents->numbers, rows, PLAN_IDENT_DIG, 0,
		     limit && limit < IDENTITIES_MAX ? limit : IDENTITIES_MAX);
	idents->numbers.free = ident_free;
	idents->numbers.ctx = idents;
	for (int base = 0; base < BASE_MAX; base++)
		base_add(idents, base);
}

void idents_done(struct idents *idents)
{
	numbers_done(&idents->numbers);
	vec_done(&idents->fresh);
	vec_done(&idents->scratch);
}
