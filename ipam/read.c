/* SPDX-License-Identifier: Apache-2.0 */
/* From the store to memory: pools, blocks, and what a block says about our entries. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

#define SAVED_FILE "pools.json"
#define SAVED_LIMIT (16 * 1024 * 1024)

/* --- pools ----------------------------------------------------------------------------------- */

/* Entries that were read while no pool was known. */
static void name_pools(struct ipam *ipam)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next) {
		const struct pool *pool = pools_of(ipam->pools, &entry->addr);

		if (!pool || !strcmp(entry->pool, pool->name))
			continue;
		free(entry->pool);
		entry->pool = xstrdup(pool->name);
	}
}

static void use_pools(struct ipam *ipam, json_t *source)
{
	pools_free(ipam->pools);
	ipam->pools = pools_new(source);
	name_pools(ipam);
}

/* Beside the journal, so that a start without the store knows the pools. Losing it loses nothing
 * that the store does not have. */
static void save_pools(struct ipam *ipam, const json_t *source)
{
	_cleanup_free_ char *text = json_dumps(source, JSON_COMPACT);

	if (text)
		file_replace(ipam_journal_dirfd(ipam->journal), SAVED_FILE, text, strlen(text),
			     0600);
}

int read_pools_saved(struct ipam *ipam)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *source = NULL;
	int r;

	r = file_read(ipam_journal_dirfd(ipam->journal), SAVED_FILE, SAVED_LIMIT, &text, NULL);
	if (r < 0)
		return r;
	source = json_loads(text, 0, NULL);
	if (!json_is_object(source))
		return -EBADMSG;
	use_pools(ipam, source);
	return 0;
}

int read_pools(struct ipam *ipam, struct err *err)
{
	static const char *const kinds[] = { "IPPool", "IPReservation", "IPAMConfiguration" };
	_cleanup_json_ json_t *source = NULL;
	struct store_list lists[3];
	int r;

	r = list_kinds(ipam, kinds, 3, lists, err);
	if (r < 0)
		return r;
	source = json_pack("{s:O, s:O, s:O}", "pools", lists[0].items, "reservations",
			   lists[1].items, "configurations", lists[2].items);
	for (int i = 0; i < 3; i++)
		store_list_done(&lists[i]);
	if (!ipam->pools || !json_equal(ipam->pools->source, source)) {
		use_pools(ipam, source);
		save_pools(ipam, source);
	}
	ipam->reload_pools = false;
	ipam->pools_round = ipam->round;
	return 0;
}

/* --- cache ----------------------------------------------------------------------------------- */

struct cached_block *cached_find(struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct cached_block *cached;

	HASH_FIND(hh, ipam->blocks, cidr, sizeof(*cidr), cached);
	return cached;
}

void cached_drop(struct ipam *ipam, struct cached_block *cached)
{
	HASH_DEL(ipam->blocks, cached);
	block_free(cached->block);
	free(cached);
}

static struct cached_block *cached_put(struct ipam *ipam, struct block *block)
{
	struct cached_block *cached = cached_find(ipam, &block->cidr);

	if (!cached) {
		cached = xcalloc(1, sizeof(*cached));
		cached->cidr = block->cidr;
		HASH_ADD(hh, ipam->blocks, cidr, sizeof(cached->cidr), cached);
	}
	block_free(cached->block);
	cached->block = block;
	cached->stale = false;
	return cached;
}

/* --- reconcile ------------------------------------------------------------------------------- */

bool is_mine(const struct ipam *ipam, const struct block *block, unsigned int ordinal)
{
	const char *handle = block_handle(block, ordinal);
	const char *node = block_secondary(block, ordinal, "node");

	return handle &&
	       (!strcmp(handle, ipam->reserve_handle) || (node && !strcmp(node, ipam->node)));
}

static void learn(struct ipam *ipam, const struct block *block, unsigned int ordinal, bool reserve)
{
	struct entry like = {
		.addr = block_addr(block, ordinal),
		.state = reserve ? ENTRY_RESERVE : ENTRY_LIVE,
		.block = block->cidr,
		.attr = block->attrs[ordinal],
	};
	const struct pool *pool = pools_of(ipam->pools, &like.addr);

	like.pool = (char *)(pool ? pool->name : "");
	entry_add(ipam, &like);
	handle_note(ipam, entry_handle(&like))->stored = true;
	pool_note(ipam, like.pool);
}

static void reconcile_mine(struct ipam *ipam, const struct block *block, unsigned int ordinal)
{
	bool reserve = !strcmp(block_handle(block, ordinal), ipam->reserve_handle);
	union mg_addr addr = block_addr(block, ordinal);
	struct entry *entry = entry_find(ipam, &addr);
	json_t *attr = block->attrs[ordinal];

	if (!entry) {
		learn(ipam, block, ordinal, reserve);
		return;
	}
	entry->block = block->cidr;
	switch (entry->state) {
	case ENTRY_RESERVE:
		if (!reserve)
			entry_set(ipam, entry, ENTRY_LIVE, attr);
		else if (block_secondary(block, ordinal, WANTED) && !entry->pinned)
			entry_set(ipam, entry, ENTRY_UNRESERVING, NULL);
		break;
	case ENTRY_UNRESERVING:
		if (!reserve)
			entry_set(ipam, entry, ENTRY_LIVE, attr);
		break;
	case ENTRY_TAKEN:
		if (!reserve && !strcmp(block_handle(block, ordinal), entry_handle(entry)))
			entry_set(ipam, entry, ENTRY_LIVE, attr);
		break;
	case ENTRY_LIVE:
		if (reserve)
			entry_set(ipam, entry, ENTRY_TAKEN, NULL);
		else if (!json_equal(entry->attr, attr))
			entry_set(ipam, entry, ENTRY_LIVE, attr);
		break;
	case ENTRY_RELEASING:
		break;
	}
}

/* The store says free, resting, or another's (held). */
static void reconcile_lost(struct ipam *ipam, struct entry *entry, bool held)
{
	switch (entry->state) {
	case ENTRY_TAKEN:
		/* A pod has it: it is taken again, unless another was faster. */
		if (!held)
			return;
		ipam->conflicts++;
		break;
	case ENTRY_RELEASING:
		/* Its handle may be left. */
		return;
	case ENTRY_RESERVE:
	case ENTRY_LIVE:
	case ENTRY_UNRESERVING:
		break;
	}
	handle_touch(ipam, entry_handle(entry), true);
	entry_drop(ipam, entry);
}

static void reconcile(struct ipam *ipam, const struct block *block)
{
	struct entry *entry, *next;
	unsigned int ordinal;

	for (unsigned int i = 0; i < block->size; i++)
		if (block->attrs[i] && is_mine(ipam, block, i))
			reconcile_mine(ipam, block, i);
	HASH_ITER(hh, ipam->entries, entry, next)
		if (block_contains(block, &entry->addr, &ordinal) &&
		    !(block->attrs[ordinal] && is_mine(ipam, block, ordinal)))
			reconcile_lost(ipam, entry, block_handle(block, ordinal) != NULL);
}

int take_block(struct ipam *ipam, json_t *object, struct cached_block **ret_cached, struct err *err)
{
	struct block *block;
	int r;

	r = block_parse(object, &block, err);
	if (r < 0)
		return r;
	*ret_cached = cached_put(ipam, block);
	reconcile(ipam, block);
	return 0;
}

/* The block is not in the store (any more). */
static void lose_block(struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct cached_block *cached = cached_find(ipam, cidr);
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (!memcmp(&entry->block, cidr, sizeof(*cidr)))
			reconcile_lost(ipam, entry, false);
	if (cached)
		cached_drop(ipam, cached);
}

int read_block(struct ipam *ipam, const struct mg_prefix *cidr, struct cached_block **ret_cached,
	       struct err *err)
{
	struct cached_block *cached = cached_find(ipam, cidr);
	_cleanup_json_ json_t *object = NULL;
	struct mg_prefix key = *cidr; /* cidr may belong to what is dropped here */
	char name[BLOCK_NAME_MAX];
	int r;

	if (cached && !cached->stale) {
		*ret_cached = cached;
		return 0;
	}
	r = get_object(ipam, "IPAMBlock", block_name(&key, name), &object, err);
	if (r == -ENOENT)
		lose_block(ipam, &key);
	if (r < 0)
		return r;
	return take_block(ipam, object, ret_cached, err);
}

int read_noticed(struct ipam *ipam, struct err *err)
{
	struct cached_block *cached, *next, *unused;
	struct mg_prefix *cidrs;
	size_t count = 0;
	int r = 0;

	if (!ipam->noticed)
		return 0;
	/* Reading may drop blocks: names first. */
	cidrs = xcalloc(HASH_COUNT(ipam->blocks) + 1, sizeof(*cidrs));
	HASH_ITER(hh, ipam->blocks, cached, next)
		if (cached->stale)
			cidrs[count++] = cached->cidr;
	for (size_t i = 0; i < count && (!r || r == -ENOENT); i++)
		r = read_block(ipam, &cidrs[i], &unused, err);
	free(cidrs);
	if (r < 0 && r != -ENOENT)
		return r;
	ipam->noticed = false;
	return 0;
}

/* --- all blocks ------------------------------------------------------------------------------ */

static bool has_mine(const struct ipam *ipam, const struct block *block)
{
	for (unsigned int i = 0; i < block->size; i++)
		if (block->attrs[i] && is_mine(ipam, block, i))
			return true;
	return false;
}

static bool has_entry(const struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (!memcmp(&entry->block, cidr, sizeof(*cidr)))
			return true;
	return false;
}

static void read_one(struct ipam *ipam, json_t *object)
{
	struct cached_block *cached;
	struct block *block;

	/* A block that does not decode is left alone; `ipam check` names it. */
	if (block_parse(object, &block, NULL) < 0)
		return;
	if (block_is_of(block, ipam->node) || has_mine(ipam, block) ||
	    cached_find(ipam, &block->cidr) || has_entry(ipam, &block->cidr)) {
		cached = cached_put(ipam, block);
		cached->seen = true;
		reconcile(ipam, block);
		return;
	}
	block_free(block);
}

static void forget_unseen(struct ipam *ipam)
{
	struct cached_block *cached, *next;
	struct entry *entry, *next_entry;

	HASH_ITER(hh, ipam->blocks, cached, next)
		if (!cached->seen)
			lose_block(ipam, &cached->cidr);
	HASH_ITER(hh, ipam->entries, entry, next_entry)
		if (!cached_find(ipam, &entry->block))
			reconcile_lost(ipam, entry, false);
}

int read_blocks(struct ipam *ipam, struct err *err)
{
	static const char *const kinds[] = { "IPAMBlock", "BlockAffinity" };
	struct cached_block *cached, *next;
	struct store_list lists[2];
	json_t *object;
	size_t i;
	int r;

	r = list_kinds(ipam, kinds, 2, lists, err);
	if (r < 0)
		return r;
	HASH_ITER(hh, ipam->blocks, cached, next)
		cached->seen = false;
	json_array_foreach(lists[0].items, i, object)
		read_one(ipam, object);
	forget_unseen(ipam);
	r = mend_affinities(ipam, lists[1].items, err);
	store_list_done(&lists[0]);
	store_list_done(&lists[1]);
	if (!r)
		ipam->reload_blocks = false;
	return r;
}
