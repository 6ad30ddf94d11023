/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a restart: what stands in the maps becomes the engine's idea of them, so that the first
 * build gives the same numbers and writes only what changed meanwhile.
 *
 * Only what the column in force reaches is taken over. Of an identity only number and digest
 * are known until an address of the same truth comes; of a set until an endpoint wants one of
 * the same content. A set that nobody wants any more stays as it is until the commit that
 * leaves it behind; new identities have in it what their addresses had before.
 */
#include <string.h>

#include "policy/digest.h"
#include "policy/engine_state.h"

static uint32_t hash_prefix(const struct mg_prefix *prefix)
{
	return hash_bytes(prefix, sizeof(*prefix), 0);
}

/* --- rows under a set ---------------------------------------------------------------------- */

static bool restore_table(struct engine *e, const struct engine_kernel *k, enum table_kind kind,
			  uint32_t root);

/* A rule that a verdict names although no digest is there gets one that matches nothing. */
static void restore_named_rule(struct engine *e, uint32_t number)
{
	struct mg_digest digest = { .b = "no digest" };

	if (!number || numbers_get(&e->tables.rules, number))
		return;
	memcpy(digest.b + 12, &number, sizeof(number));
	rule_restore(&e->tables, number, &digest);
}

static bool restore_verdict(struct engine *e, const struct engine_kernel *k, uint32_t number)
{
	if (number < MG_VERDICT_FIRST || numbers_get(&e->tables.verdicts, number))
		return true;
	if (number >= k->verdict_count)
		return false;
	restore_named_rule(e, k->verdicts[number].rule);
	restore_named_rule(e, k->verdicts[number].log_rule);
	verdict_restore(&e->tables, number, &k->verdicts[number]);
	return true;
}

static bool restore_class(struct engine *e, const struct engine_kernel *k, uint32_t number)
{
	const struct mg_class *row = &k->classes[number];
	bool good = true;

	if (!number || numbers_get(&e->tables.classes, number))
		return true;
	if (number >= k->class_count)
		return false;
	/* First itself: a loop in broken rows must end. */
	class_restore(&e->tables, number, row);
	good &= restore_verdict(e, k, row->verdict);
	for (int i = 0; i < MG_L4_MAX; i++)
		good &= restore_table(e, k, TABLE_VERDICT, row->l4[i]);
	good &= restore_table(e, k, TABLE_CLASS, row->sport);
	good &= restore_table(e, k, TABLE_VERDICT, row->proto_table);
	for (int i = 0; i < MG_CLASS_OTHERS; i++)
		if (row->other_proto[i])
			good &= restore_verdict(e, k, row->other_verdict[i]);
	return good;
}

/* The page itself, copied: the caller reads others meanwhile. *ret_new false: it was there
 * already. */
static bool restore_page(struct engine *e, const struct engine_kernel *k, unsigned int kind,
			 uint32_t number, struct mg_page *row, bool *ret_new)
{
	const struct page *page = (const struct page *)numbers_get(&e->tables.pages, number);
	const struct mg_page *read;

	*ret_new = false;
	if (page)
		return page->kind == kind;
	if (number >= k->page_count)
		return false;
	read = k->page(k->ctx, number);
	if (read)
		*row = *read;
	else
		memset(row, 0, sizeof(*row));
	page_restore(&e->tables, kind, number, row);
	*ret_new = true;
	return true;
}

static bool restore_leaf(struct engine *e, const struct engine_kernel *k, enum table_kind kind,
			 uint32_t number)
{
	struct mg_page row;
	bool is_new = false;
	bool good = !number || restore_page(e, k, kind << 1, number, &row, &is_new);

	if (!is_new)
		return good;
	for (int i = 0; i < MG_PAGE_ENTRIES && good; i++) {
		uint32_t value = row.v[i];

		if (i && value == row.v[i - 1])
			continue;
		switch (kind) {
		case TABLE_CLASS:
			good = restore_class(e, k, value);
			break;
		case TABLE_VERDICT:
			good = !value || restore_verdict(e, k, value - 1);
			break;
		case TABLE_ROOT:
			good = restore_table(e, k, TABLE_CLASS, value);
			break;
		}
	}
	return good;
}

static bool restore_table(struct engine *e, const struct engine_kernel *k, enum table_kind kind,
			  uint32_t root)
{
	struct mg_page row;
	bool is_new = false;
	bool good = !root || restore_page(e, k, kind << 1 | 1, root, &row, &is_new);

	if (!is_new)
		return good;
	for (int i = 0; i < MG_PAGE_ENTRIES && good; i++)
		if (!i || row.v[i] != row.v[i - 1])
			good = restore_leaf(e, k, kind, row.v[i]);
	return good;
}

/* --- sets and slots ------------------------------------------------------------------------ */

static void restore_set(struct engine *e, const struct engine_kernel *k, uint32_t number)
{
	struct mg_digest digest = { .b = "no digest" };
	uint32_t root = 0;
	bool both;

	if (number < MG_SET_FIRST || set_by_number(&e->sets, number))
		return;
	if (number < k->set_dig_count && !digest_is_zero(&k->set_dig[number]))
		digest = k->set_dig[number];
	else
		memcpy(digest.b + 12, &number, sizeof(number));
	/* What cannot be read is not believed: nobody will want it, and it has no table. */
	both = number < k->set_count && k->sets[number].flags & MG_SET_BOTH_ENDS;
	if (number < k->set_count &&
	    restore_table(e, k, both ? TABLE_ROOT : TABLE_CLASS, k->sets[number].table))
		root = k->sets[number].table;
	set_restore(&e->sets, number, &digest, root, both);
}

/* A row that columns_clear() wrote, or nobody, stands for no endpoint. */
static bool means_something(const uint32_t *set)
{
	for (int stage = 0; stage < MG_STAGE_MAX; stage++)
		if (set[stage] != MG_SET_NONE && set[stage] != MG_SET_DROP_ALL)
			return true;
	return false;
}

static void restore_slots(struct engine *e, const struct engine_kernel *k, uint32_t column)
{
	for (uint32_t i = 0; i < k->slot_count; i++) {
		const uint32_t *set = k->slots[i].set[column];
		struct slot *slot;

		if (!means_something(set))
			continue;
		slot = slot_at(e, i);
		if (!slot)
			break;
		slot->row = k->slots[i];
		slot->present = true;
		for (int stage = 0; stage < MG_STAGE_MAX; stage++)
			restore_set(e, k, set[stage]);
	}
}

static void restore_commit(struct engine *e, const struct engine_kernel *k)
{
	struct columns *columns = &e->columns;
	const struct mg_commit *commit = &k->commits[k->commit % MG_COMMIT_ROWS];

	memcpy(columns->commit, k->commits, sizeof(columns->commit));
	columns->held[columns->in_force] = false;
	columns->in_force = commit->column % MG_COLUMNS;
	columns->commit_row = k->commit % MG_COMMIT_ROWS;
	columns->generation = commit->generation;
	columns->foreign = true;
	restore_slots(e, k, columns->in_force);
	column_hold(e, columns->in_force, true);
}

/* --- identities and addresses -------------------------------------------------------------- */

static void know(struct engine *e, const struct mg_prefix *prefix, bool net, uint16_t identity)
{
	struct known *known = xcalloc(1, sizeof(*known));

	known->prefix = *prefix;
	known->net = net;
	known->identity = identity;
	hmap_add(&e->known, &known->node, hash_prefix(prefix));
}

uint16_t known_get(const struct engine *e, const struct mg_prefix *prefix, bool net)
{
	struct hnode *node = hmap_first(&e->known, hash_prefix(prefix));

	for (; node; node = hmap_same(node)) {
		const struct known *known = (const struct known *)node;

		if (known->net == net && !memcmp(&known->prefix, prefix, sizeof(*prefix)))
			return known->identity;
	}
	return NO_IDENTITY;
}

void known_forget(struct engine *e)
{
	hmap_for_each(&e->known, i, node, after) free(node);
	hmap_done(&e->known);
}

/* Only numbers that a row names: digests of others may be leftovers. */
static void restore_idents(struct engine *e, const struct engine_kernel *k)
{
	_cleanup_free_ bool *named = xcalloc(NO_IDENTITY + 1, sizeof(*named));

	for (size_t i = 0; i < k->addr_count; i++)
		named[k->addrs[i].identity] = true;
	for (size_t i = 0; i < k->net_count; i++)
		named[k->nets[i].identity] = true;
	/* Rows that are left over go with the second build: until then their numbers are taken. */
	e->rows.build++;
	for (size_t i = MG_IDENT_FIRST; i < k->ident_count && i < e->idents.numbers.limit; i++)
		if (named[i])
			ident_restore(&e->idents, i, &k->ident_dig[i]);
	e->rows.build--;
}

void engine_restore(struct engine *e, const struct engine_kernel *k)
{
	restore_idents(e, k);
	for (size_t i = 0; i < k->rule_count; i++)
		if (!numbers_get(&e->tables.rules, k->rules[i].number))
			rule_restore(&e->tables, k->rules[i].number, &k->rules[i].digest);
	if (k->set_count > MG_SET_ALLOW_ALL &&
	    restore_table(e, k, TABLE_CLASS, k->sets[MG_SET_ALLOW_ALL].table))
		e->allow_written = k->sets[MG_SET_ALLOW_ALL].table;
	restore_commit(e, k);
	for (size_t i = 0; i < k->addr_count; i++) {
		struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = k->addrs[i].addr };

		know(e, &prefix, false, k->addrs[i].identity);
	}
	for (size_t i = 0; i < k->net_count; i++)
		know(e, &k->nets[i].prefix, true, k->nets[i].identity);
	e->pending = e->restored = true;
}
