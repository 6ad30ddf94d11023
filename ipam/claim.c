/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where addresses come from when the node's own blocks have none: a new block, an empty one of
 * another node, a borrowed address. BlockAffinity goes pending -> (IPAMBlock exists) -> confirmed;
 * the block's own spec.affinity decides, and only a create or compare-and-swap of it wins.
 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/batch.h"

#define CLAIM_TRIES 32	      /* lost races in one search */
#define SEARCH_PAUSE_MS 10000 /* before the reserve alone makes us search again */

/* --- what there is --------------------------------------------------------------------------- */

/* The store's blocks and affinities by name of block, for one search. */
struct survey {
	struct store_list lists[2]; /* IPAMBlock, BlockAffinity */
	json_t *blocks;		    /* name: object (borrowed by the list) */
	json_t *pending;	    /* name of block: node */
};

static void survey_done(struct survey *survey)
{
	json_decref(survey->blocks);
	json_decref(survey->pending);
	for (int i = 0; i < 2; i++)
		if (survey->lists[i].items)
			store_list_done(&survey->lists[i]);
}

static const char *spec_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(json_object_get(object, "spec"), key));
}

static int survey_read(struct ipam *ipam, struct survey *survey, struct err *err)
{
	static const char *const kinds[] = { "IPAMBlock", "BlockAffinity" };
	json_t *object;
	size_t i;
	int r;

	r = list_kinds(ipam, kinds, 2, survey->lists, err);
	if (r < 0)
		return r;
	survey->blocks = json_object();
	survey->pending = json_object();
	json_array_foreach(survey->lists[0].items, i, object) {
		const char *name = json_string_value(
			json_object_get(json_object_get(object, "metadata"), "name"));

		if (name)
			json_object_set(survey->blocks, name, object);
	}
	json_array_foreach(survey->lists[1].items, i, object) {
		const char *cidr = spec_text(object, "cidr"), *node = spec_text(object, "node");
		char name[BLOCK_NAME_MAX];
		struct mg_prefix prefix;

		if (cidr && node && !prefix_parse(cidr, false, &prefix))
			json_object_set_new(survey->pending, block_name(&prefix, name),
					    json_string(node));
	}
	return 0;
}

/* --- a new block ----------------------------------------------------------------------------- */

static __u64 hash_text(const char *text)
{
	__u64 hash = 14695981039346656037ULL; /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
	return hash ^ hash >> 29;
}

/* The n-th block of the pool in this node's own order: nodes start at different places and step
 * differently, so they rarely try the same one, and one node always tries in the same order. */
static struct mg_prefix nth_block(const struct ipam *ipam, const struct pool *pool, __u64 n)
{
	__u64 seed = hash_text(ipam->node), bits = pool->block_len - pool->cidr.len;
	__u64 mask = bits >= 64 ? ~0ULL : (1ULL << bits) - 1;
	__u64 index = (seed + n * ((seed >> 20) | 1)) & mask;
	__u32 shift = MG_ADDR_BITS - pool->block_len; /* at most 12 */
	struct mg_prefix block = pool->cidr;
	union mg_addr addr = pool->cidr.addr;

	/* index << shift may not fit 64 bits: the lower pools of an IPv6 /64 are enough. */
	block.addr = addr_add(&addr, (index << shift) >> shift << shift);
	block.len = pool->block_len;
	return block;
}

static bool is_all_reserved(const struct ipam *ipam, const struct mg_prefix *cidr)
{
	for (__u64 i = 0; i < 1ULL << (MG_ADDR_BITS - cidr->len); i++) {
		union mg_addr first = cidr->addr, addr = addr_add(&first, i);

		if (!pools_is_reserved(ipam->pools, &addr))
			return false;
	}
	return true;
}

/* polite: leaves alone what another node has announced but not made yet. */
static bool is_claimable(const struct ipam *ipam, const struct survey *survey,
			 const struct mg_prefix *cidr, bool polite)
{
	char name[BLOCK_NAME_MAX];
	const char *node;

	block_name(cidr, name);
	node = json_string_value(json_object_get(survey->pending, name));
	return !json_object_get(survey->blocks, name) &&
	       (!polite || !node || !strcmp(node, ipam->node)) && !is_all_reserved(ipam, cidr);
}

struct wish {
	const struct pool *pool;
	bool polite;
};

/* 1 claimed, 0 none is left. */
static int claim_new(struct ipam *ipam, const struct survey *survey, const struct wish *wish,
		     struct err *err)
{
	const struct pool *pool = wish->pool;
	__u32 bits = pool->block_len - pool->cidr.len;
	__u64 all = bits >= 32 ? 1ULL << 32 : 1ULL << bits;
	struct cached_block *cached;
	int tries = CLAIM_TRIES;

	for (__u64 n = 0; n < all && tries; n++) {
		struct mg_prefix cidr = nth_block(ipam, pool, n);
		int r;

		if (!is_claimable(ipam, survey, &cidr, wish->polite))
			continue;
		r = claim_block(ipam, &cidr, &cached, err);
		if (r != -EEXIST)
			return r < 0 ? r : 1;
		tries--;
	}
	return tries ? 0 : -ESTALE;
}

/* --- an empty block of another --------------------------------------------------------------- */

static bool in_pool(const struct pool *pool, const struct mg_prefix *cidr)
{
	union mg_addr first = cidr->addr;

	return cidr->len >= pool->cidr.len && prefix_contains(&pool->cidr, &first);
}

/* NULL: does not decode, or not in the pool. The caller frees. */
static struct block *surveyed_block(struct ipam *ipam, json_t *object, const struct pool *pool)
{
	struct block *block;

	if (block_parse(object, &block, NULL) < 0)
		return NULL;
	if (in_pool(pool, &block->cidr) && !block->deleted) {
		block_mature(block, ipam->now(ipam->now_arg), ipam->pools->cooldown_ms);
		return block;
	}
	block_free(block);
	return NULL;
}

static bool is_reclaimable(struct ipam *ipam, const struct block *block)
{
	__u64 now = ipam->now(ipam->now_arg);

	if (!block_is_empty(block) || block_is_of(block, ipam->node))
		return false;
	if (!block->affinity)
		return true;
	return !strncmp(block->affinity, BLOCK_AFFINITY, strlen(BLOCK_AFFINITY)) &&
	       now > block->claimed_ms && now - block->claimed_ms >= RECLAIM_AGE_MS;
}

static int reclaim_one(struct ipam *ipam, struct block *block, struct err *err)
{
	_cleanup_free_ char *former = TAKE_PTR(block->affinity);
	_cleanup_json_ json_t *object = NULL, *stored = NULL;
	struct cached_block *cached;
	int r;

	r = put_affinity(ipam, &block->cidr, "pending", err);
	if (r < 0)
		return r;
	block->affinity = own_affinity(ipam);
	block->claimed_ms = ipam->now(ipam->now_arg);
	object = block_encode(block);
	r = put_object(ipam, STORE_UPDATE, object, &stored, err);
	if (r == -ESTALE || r == -ENOENT) {
		int r2 = drop_affinity(ipam, ipam->node, &block->cidr, err);

		return r2 < 0 ? r2 : -EEXIST;
	}
	if (!r && former)
		r = drop_affinity(ipam, former + strlen(BLOCK_AFFINITY), &block->cidr, err);
	if (!r)
		r = put_affinity(ipam, &block->cidr, "confirmed", err);
	return r < 0 ? r : take_block(ipam, stored, &cached, err);
}

static int reclaim(struct ipam *ipam, const struct survey *survey, const struct pool *pool,
		   struct err *err)
{
	json_t *object;
	size_t i;

	json_array_foreach(survey->lists[0].items, i, object) {
		_cleanup_block_ struct block *block = surveyed_block(ipam, object, pool);
		int r;

		if (!block || !is_reclaimable(ipam, block))
			continue;
		r = reclaim_one(ipam, block, err);
		if (r != -EEXIST)
			return r < 0 ? r : 1;
	}
	return 0;
}

/* --- a borrowed address ---------------------------------------------------------------------- */

static int borrow_from(struct ipam *ipam, json_t *object, unsigned int want, struct err *err)
{
	_cleanup_(batch_free_p) struct batch *batch = batch_new(ipam);
	struct cached_block *cached;
	struct batch_block *at;
	int r;

	r = take_block(ipam, object, &cached, err);
	if (!r)
		r = batch_block(batch, &cached->cidr, &at, err);
	if (r < 0)
		return r;
	if (!batch_refill(batch, at, want))
		return 0;
	return batch_commit(batch, err);
}

/* Starts at a place of its own, so that borrowers spread. */
static int borrow(struct ipam *ipam, const struct survey *survey, const struct pool *pool,
		  unsigned int want, struct err *err)
{
	size_t count = json_array_size(survey->lists[0].items);
	size_t start = count ? hash_text(ipam->node) % count : 0;

	for (size_t i = 0; i < count; i++) {
		json_t *object = json_array_get(survey->lists[0].items, (start + i) % count);
		_cleanup_block_ struct block *block = surveyed_block(ipam, object, pool);
		int r;

		if (!block || block_next(block, is_unusable, ipam) < 0)
			continue;
		r = borrow_from(ipam, object, want, err);
		if (r)
			return r;
	}
	return 0;
}

/* --- in order -------------------------------------------------------------------------------- */

static unsigned int count_own_blocks(struct ipam *ipam, bool v4)
{
	struct cached_block *cached, *next;
	unsigned int count = 0;

	HASH_ITER(hh, ipam->blocks, cached, next)
		count += block_is_of(cached->block, ipam->node) && prefix_is4(&cached->cidr) == v4;
	return count;
}

bool may_claim(struct ipam *ipam, const struct pool *pool)
{
	return ipam->pools->auto_blocks &&
	       count_own_blocks(ipam, pool->v4) < ipam->pools->max_blocks;
}

static int search(struct ipam *ipam, const struct pool *pool, struct pool_note *note,
		  struct err *err)
{
	_cleanup_(survey_done) struct survey survey = {};
	unsigned int have = count_state(ipam, pool->name, ENTRY_RESERVE);
	int r;

	r = survey_read(ipam, &survey, err);
	if (!r && may_claim(ipam, pool))
		r = claim_new(ipam, &survey, &(struct wish){ pool, true }, err);
	if (!r && may_claim(ipam, pool) && note->demand > have)
		r = claim_new(ipam, &survey, &(struct wish){ pool, false }, err);
	if (!r && may_claim(ipam, pool) && note->demand > have)
		r = reclaim(ipam, &survey, pool, err);
	if (!r && !ipam->pools->strict_affinity && note->demand > have)
		r = borrow(ipam, &survey, pool, note->demand - have, err);
	if (!r) {
		note->searched = ipam->round;
		note->searched_ms = ipam->now(ipam->now_arg);
	}
	return r;
}

/* Ahead of need only while less than half the reserve is there, and not again and again. */
static bool is_due(struct ipam *ipam, const struct pool *pool, struct pool_note *note)
{
	unsigned int have = count_state(ipam, pool->name, ENTRY_RESERVE), want;
	__u64 now = ipam->now(ipam->now_arg);

	if (pool->disabled || !pool_wants(ipam, pool, &want))
		return false;
	if (note->demand > have)
		return note->searched < ipam->round;
	if (note->searched_ms && now - note->searched_ms < SEARCH_PAUSE_MS)
		return false;
	return have < note->target / 2 && may_claim(ipam, pool);
}

int claim_for_waiting(struct ipam *ipam, struct err *err)
{
	for (size_t i = 0; i < ipam->pools->count; i++) {
		const struct pool *pool = &ipam->pools->list[i];
		struct pool_note *note;
		int r;

		HASH_FIND_STR(ipam->notes, pool->name, note);
		if (!note || !is_due(ipam, pool, note))
			continue;
		r = search(ipam, pool, note, err);
		if (r)
			return r;
	}
	return 0;
}
