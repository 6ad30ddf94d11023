/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages as runs, and the two-level tables made of them.
 */
#include <string.h>

#include "policy/table.h"
#include "policy/table_ref.h"

struct page_key {
	unsigned int kind;
	unsigned int runs;
	const uint32_t *value;
	const uint8_t *start;
};

static const uint8_t *page_start(const struct page *page)
{
	return (const uint8_t *)&page->value[page->runs];
}

static uint32_t page_hash(const struct page_key *key)
{
	uint32_t hash = hash_bytes(key->value, key->runs * sizeof(*key->value), key->kind);

	return hash_bytes(key->start, key->runs, hash);
}

static struct page *page_find(const struct tables *tables, const struct page_key *key,
			      uint32_t hash)
{
	struct hnode *node = hmap_first(&tables->pages.by_content, hash);

	for (; node; node = hmap_same(node)) {
		struct page *page = (struct page *)node;

		if (page->kind == key->kind && page->runs == key->runs &&
		    !memcmp(page->value, key->value, key->runs * sizeof(*key->value)) &&
		    !memcmp(page_start(page), key->start, key->runs))
			return page;
	}
	return NULL;
}

static struct page *page_make(const struct page_key *key)
{
	struct page *page = xcalloc(1, sizeof(*page) + key->runs * (sizeof(uint32_t) + 1));

	page->kind = key->kind;
	page->runs = key->runs;
	memcpy(page->value, key->value, key->runs * sizeof(uint32_t));
	memcpy(&page->value[key->runs], key->start, key->runs);
	return page;
}

static uint32_t page_intern(struct tables *tables, const struct page_key *key)
{
	struct page *page;
	uint32_t hash;

	if (key->runs == 1 && key->value[0] == 0)
		return 0;
	hash = page_hash(key);
	page = page_find(tables, key, hash);
	if (page) {
		number_ref(&tables->pages, &page->num);
		return page->num.number;
	}
	page = page_make(key);
	numbers_add(&tables->pages, &page->num, hash);
	page_hold(tables, page);
	return page->num.number;
}

static uint32_t page_of_row(struct tables *tables, unsigned int kind, const struct mg_page *row)
{
	uint32_t value[MG_PAGE_ENTRIES];
	uint8_t start[MG_PAGE_ENTRIES];
	struct page_key key = { .kind = kind, .value = value, .start = start };

	for (unsigned int i = 0; i < MG_PAGE_ENTRIES; i++) {
		if (i && row->v[i] == value[key.runs - 1])
			continue;
		value[key.runs] = row->v[i];
		start[key.runs++] = i;
	}
	return page_intern(tables, &key);
}

void page_restore(struct tables *tables, unsigned int kind, uint32_t number,
		  const struct mg_page *row)
{
	uint32_t value[MG_PAGE_ENTRIES];
	uint8_t start[MG_PAGE_ENTRIES];
	struct page_key key = { .kind = kind, .value = value, .start = start };
	struct page *page;

	for (unsigned int i = 0; i < MG_PAGE_ENTRIES; i++) {
		if (i && row->v[i] == value[key.runs - 1])
			continue;
		value[key.runs] = row->v[i];
		start[key.runs++] = i;
	}
	page = page_make(&key);
	numbers_restore(&tables->pages, &page->num, page_hash(&key), number);
}

void page_expand(const struct page *page, struct mg_page *ret_row)
{
	const uint8_t *start = page_start(page);

	for (unsigned int run = 0; run < page->runs; run++) {
		unsigned int end = run + 1 < page->runs ? start[run + 1] : MG_PAGE_ENTRIES;

		for (unsigned int i = start[run]; i < end; i++)
			ret_row->v[i] = page->value[run];
	}
}

uint32_t page_value(const struct page *page, uint8_t entry)
{
	const uint8_t *start = page_start(page);
	unsigned int low = 0, high = page->runs;

	while (high - low > 1) {
		unsigned int mid = (low + high) / 2;

		if (start[mid] <= entry)
			low = mid;
		else
			high = mid;
	}
	return page->value[low];
}

uint32_t table_get(const struct tables *tables, uint32_t root, uint16_t key)
{
	struct number *page = numbers_get(&tables->pages, root);

	if (!root || !page)
		return 0;
	page = numbers_get(&tables->pages, page_value((struct page *)page, key >> 8));
	return page ? page_value((struct page *)page, key) : 0;
}

static void run_add(run_vec *runs, uint32_t start, uint32_t value)
{
	if (!start || runs->v[runs->n - 1].value != value)
		vec_push(runs, (struct run){ (uint16_t)start, value });
}

static void leaf_runs(const struct tables *tables, uint32_t number, uint32_t base, run_vec *runs)
{
	const struct page *leaf =
		number ? (const struct page *)numbers_get(&tables->pages, number) : NULL;

	if (!leaf)
		run_add(runs, base, 0);
	for (unsigned int run = 0; leaf && run < leaf->runs; run++)
		run_add(runs, base + page_start(leaf)[run], leaf->value[run]);
}

void table_runs(const struct tables *tables, uint32_t root, run_vec *runs)
{
	const struct page *top =
		root ? (const struct page *)numbers_get(&tables->pages, root) : NULL;

	for (uint32_t entry = 0; entry < MG_PAGE_ENTRIES; entry++)
		leaf_runs(tables, top ? page_value(top, (uint8_t)entry) : 0, entry << 8, runs);
}

/* --- building ------------------------------------------------------------------------------ */

/* Runs of one page under construction, and the leaves a root holds until it stands. */
struct page_draft {
	uint32_t value[MG_PAGE_ENTRIES];
	uint8_t start[MG_PAGE_ENTRIES];
	unsigned int runs;
};

static void draft_add(struct page_draft *draft, unsigned int start, uint32_t value)
{
	if (draft->runs && draft->value[draft->runs - 1] == value)
		return;
	draft->value[draft->runs] = value;
	draft->start[draft->runs++] = start;
}

static uint32_t draft_intern(struct tables *tables, unsigned int kind,
			     const struct page_draft *draft)
{
	struct page_key key = {
		.kind = kind, .runs = draft->runs, .value = draft->value, .start = draft->start
	};

	return page_intern(tables, &key);
}

/* The leaf of one block of 256 keys; *at is the run that holds its first key. */
static uint32_t build_leaf(struct tables *tables, enum table_kind kind, const struct run *run,
			   size_t count, size_t at, unsigned int block)
{
	struct page_draft draft;

	draft.runs = 0;
	draft_add(&draft, 0, run[at].value);
	for (at++; at < count && run[at].start >> 8 == block; at++)
		draft_add(&draft, run[at].start & 0xff, run[at].value);
	return draft_intern(tables, kind << 1, &draft);
}

uint32_t table_build(struct tables *tables, enum table_kind kind, const struct run *run,
		     size_t count)
{
	uint32_t held[MG_PAGE_ENTRIES], root;
	unsigned int held_count = 0, block = 0;
	struct page_draft draft;
	size_t at = 0;

	draft.runs = 0;
	while (block < MG_PAGE_ENTRIES) {
		unsigned int next;

		while (at + 1 < count && run[at + 1].start <= block << 8)
			at++;
		next = at + 1 < count ? run[at + 1].start >> 8 : MG_PAGE_ENTRIES;
		held[held_count] = build_leaf(tables, kind, run, count, at, block);
		draft_add(&draft, block, held[held_count++]);
		/* Up to the block of the next run all are the same. */
		block = next > block ? next : block + 1;
	}
	root = draft_intern(tables, kind << 1 | 1, &draft);
	for (unsigned int i = 0; i < held_count; i++)
		page_unref(tables, held[i]);
	return root;
}

/* Expands page n, all zero for 0. */
static void expand(const struct tables *tables, uint32_t n, struct mg_page *ret_row)
{
	struct number *page = n ? numbers_get(&tables->pages, n) : NULL;

	if (page)
		page_expand((struct page *)page, ret_row);
	else
		memset(ret_row, 0, sizeof(*ret_row));
}

uint32_t table_with(struct tables *tables, enum table_kind kind, uint32_t root,
		    const struct table_entry *entry, size_t count)
{
	uint32_t held[MG_PAGE_ENTRIES], ret;
	unsigned int held_count = 0;
	struct mg_page top, leaf;

	expand(tables, root, &top);
	for (size_t i = 0; i < count;) {
		unsigned int block = entry[i].key >> 8;

		expand(tables, top.v[block], &leaf);
		for (; i < count && entry[i].key >> 8 == (int)block; i++)
			leaf.v[entry[i].key & 0xff] = entry[i].value;
		top.v[block] = page_of_row(tables, kind << 1, &leaf);
		held[held_count++] = top.v[block];
	}
	ret = page_of_row(tables, kind << 1 | 1, &top);
	for (unsigned int i = 0; i < held_count; i++)
		page_unref(tables, held[i]);
	return ret;
}

void table_ref(struct tables *tables, uint32_t root)
{
	if (root)
		number_ref(&tables->pages, numbers_get(&tables->pages, root));
}

void table_unref(struct tables *tables, uint32_t root)
{
	page_unref(tables, root);
}
