/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities after a restart. A row of the kernel names a number of which only the digest is
 * known. It keeps the number where the digest is that of the row's truth now, or where all rows
 * of the number have one truth (the rules were changed while nobody watched). Other rows get
 * numbers of their own, one for each (old number, truth): a set whose policies are forgotten can
 * then give every new number exactly what its rows had, until the commit leaves it behind.
 * Numbers of equal truth are merged by the build after.
 */
#include <string.h>

#include "base/inet.h"
#include "policy/engine_state.h"

enum kept { KEPT_NONE, KEPT_UNIFORM, KEPT_MIXED, KEPT_DIGEST };

static uint32_t heir_hash(uint16_t from, const struct ident_key *key)
{
	return hash_u64((uintptr_t)key->facts, hash_u64((uintptr_t)key->nets, from));
}

static struct heir *heir_find(const struct engine *e, uint16_t from, const struct ident_key *key)
{
	struct hnode *node = hmap_first(&e->heirs, heir_hash(from, key));

	for (; node; node = hmap_same(node)) {
		struct heir *heir = (struct heir *)node;

		if (heir->from == from && ident_key_equal(&heir->key, key))
			return heir;
	}
	return NULL;
}

static void heir_add(struct engine *e, uint16_t from, uint16_t to, const struct ident_key *key)
{
	struct heir *heir = xcalloc(1, sizeof(*heir));

	heir->from = from;
	heir->to = to;
	heir->key = *key;
	hmap_add(&e->heirs, &heir->node, heir_hash(from, key));
}

void heirs_forget(struct engine *e)
{
	hmap_for_each(&e->heirs, i, node, after) free(node);
	hmap_done(&e->heirs);
}

/* --- who keeps the number ------------------------------------------------------------------ */

struct keeper {
	enum kept kept;
	struct ident_key key;
};

static void consider(struct engine *e, struct keeper *keeper, uint16_t from,
		     const struct ident_key *key)
{
	struct ident *ident = from < MG_IDENT_FIRST ? NULL : ident_get(&e->idents, from);
	struct mg_digest digest;

	if (!ident || !ident->restored || keeper[from].kept == KEPT_DIGEST ||
	    (keeper[from].kept && ident_key_equal(&keeper[from].key, key)))
		return;
	digest = ident_digest(&e->idents, key);
	if (!memcmp(&digest, &ident->digest, sizeof(digest)))
		keeper[from] = (struct keeper){ KEPT_DIGEST, *key };
	else if (keeper[from].kept == KEPT_NONE)
		keeper[from] = (struct keeper){ KEPT_UNIFORM, *key };
	else
		keeper[from].kept = KEPT_MIXED;
}

/* What the kernel knew of addresses there when the row was not: by the longest prefix. */
static uint16_t region_before(const struct engine *e, const struct mg_prefix *prefix)
{
	struct mg_prefix around = *prefix;
	uint16_t identity = NO_IDENTITY;

	while (around.len && identity == NO_IDENTITY) {
		around.len--;
		prefix_mask(&around);
		identity = known_get(e, &around, true);
	}
	if (identity != NO_IDENTITY)
		return identity;
	return prefix_is4(prefix) ? MG_IDENT_WORLD4 : MG_IDENT_WORLD6;
}

/* What has no row yet is judged by the one around it until then: that counts as a row too. */
static void consider_at(struct engine *e, struct keeper *keeper, const struct mg_prefix *prefix,
			uint16_t before, const struct ident_key *key)
{
	consider(e, keeper, before == NO_IDENTITY ? region_before(e, prefix) : before, key);
}

void reidentify_plan(struct engine *e)
{
	_cleanup_free_ struct keeper *keeper = NULL;

	if (!e->restored)
		return;
	keeper = xcalloc(NO_IDENTITY + 1, sizeof(*keeper));
	for (size_t i = 0; i < e->addrs.dirty.n; i++) {
		const struct addr_dirty *dirty = &e->addrs.dirty.v[i];
		const struct addr_row *row = addrs_find(&e->addrs, &dirty->addr);
		struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = dirty->addr };
		struct ident_key key;

		if (!row)
			continue;
		key = identify_addr_key(e, row);
		consider_at(e, keeper, &prefix, dirty->identity, &key);
	}
	for (size_t i = 0; i < e->nets.net.n; i++) {
		const struct net *net = &e->nets.net.v[i];
		uint16_t before = known_get(e, &net->prefix, true);
		struct ident_key key = identify_net_key(e, net);

		if (before != NO_IDENTITY || net_wanted(&e->nets, net))
			consider_at(e, keeper, &net->prefix, before, &key);
	}
	for (uint32_t from = MG_IDENT_FIRST; from < NO_IDENTITY; from++)
		if (keeper[from].kept == KEPT_DIGEST || keeper[from].kept == KEPT_UNIFORM)
			heir_add(e, from, from, &keeper[from].key);
}

uint16_t reidentify(struct engine *e, const struct mg_prefix *prefix, uint16_t before,
		    const struct ident_key *key)
{
	bool plain = !key->facts->count && !key->nets->count;
	const struct ident *base = ident_get(&e->idents, key->base);
	struct heir *heir;
	uint16_t n;

	/* The first four stand for themselves: their numbers mean the same before and after. */
	if (e->restored && before == NO_IDENTITY)
		before = region_before(e, prefix);
	if (!e->restored || (plain && before == base->num.number))
		return ident_of(&e->idents, key);
	e->merge = true;
	heir = heir_find(e, before, key);
	if (heir && heir->to == before)
		return ident_revive(&e->idents, ident_get(&e->idents, before), key);
	if (heir) {
		number_ref(&e->idents.numbers, numbers_get(&e->idents.numbers, heir->to));
		return heir->to;
	}
	n = ident_apart(&e->idents, key);
	heir_add(e, before, n, key);
	return n;
}
