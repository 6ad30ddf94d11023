/* SPDX-License-Identifier: Apache-2.0 */
/* From memory to the store: what entries ask for, and the refill of the reserve. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "ipam/batch.h"

static bool is_pending(const struct entry *entry)
{
	switch (entry->state) {
	case ENTRY_TAKEN:
	case ENTRY_RELEASING:
	case ENTRY_UNRESERVING:
		return true;
	case ENTRY_RESERVE:
	case ENTRY_LIVE:
		return false;
	}
	return false;
}

bool pool_wants(struct ipam *ipam, const struct pool *pool, unsigned int *ret_count)
{
	unsigned int have = count_state(ipam, pool->name, ENTRY_RESERVE), want;
	struct pool_note *note;

	HASH_FIND_STR(ipam->notes, pool->name, note);
	if (!note || pool->disabled)
		return false;
	want = note->demand;
	/* Claimed ahead only where the pool is the node's own choice. */
	if (pool_selects_node(pool, &ipam->labels))
		want += note->target;
	*ret_count = want > have ? want - have : 0;
	return *ret_count;
}

/* A block that may have free addresses: its copy says so, or is not up to date. */
static bool may_give(const struct ipam *ipam, const struct cached_block *cached)
{
	if (cached->stale)
		return true;
	return !cached->leaving && block_is_of(cached->block, ipam->node) &&
	       block_next(cached->block, is_unusable, ipam) >= 0;
}

static bool pool_can_refill(const struct ipam *ipam, const struct pool *pool)
{
	struct cached_block *cached, *next;

	HASH_ITER(hh, ipam->blocks, cached, next) {
		union mg_addr first = cached->cidr.addr;

		if (prefix_contains(&pool->cidr, &first) &&
		    block_is_of(cached->block, ipam->node) && may_give(ipam, cached))
			return true;
	}
	return false;
}

bool write_needed(struct ipam *ipam)
{
	struct entry *entry, *next;
	struct handle_note *note, *next_note;
	unsigned int count;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (is_pending(entry))
			return true;
	HASH_ITER(hh, ipam->handles, note, next_note)
		if (note->dirty)
			return true;
	for (size_t i = 0; ipam->pools && i < ipam->pools->count; i++)
		if (pool_wants(ipam, &ipam->pools->list[i], &count) &&
		    pool_can_refill(ipam, &ipam->pools->list[i]))
			return true;
	return false;
}

/* --- what entries ask for -------------------------------------------------------------------- */

struct cidrs {
	struct mg_prefix list[BATCH_BLOCKS_MAX];
	size_t count;
};

static void cidrs_add(struct cidrs *cidrs, const struct mg_prefix *cidr)
{
	for (size_t i = 0; i < cidrs->count; i++)
		if (!memcmp(&cidrs->list[i], cidr, sizeof(*cidr)))
			return;
	if (cidrs->count < BATCH_BLOCKS_MAX)
		cidrs->list[cidrs->count++] = *cidr;
}

/* A pod's block that vanished from the store is made again, or the pod's claim is given up. */
static int revive_block(struct ipam *ipam, const struct mg_prefix *cidr, struct err *err)
{
	union mg_addr first = cidr->addr;
	const struct pool *pool = pools_of(ipam->pools, &first);
	struct entry *entry, *next;
	struct cached_block *cached;
	bool taken = false;
	int r;

	HASH_ITER(hh, ipam->entries, entry, next)
		taken |= entry->state == ENTRY_TAKEN && !memcmp(&entry->block, cidr, sizeof(*cidr));
	if (!taken)
		return 0;
	r = pool ? claim_block(ipam, cidr, &cached, err) : -ENOENT;
	if (r != -ENOENT)
		return r == -EEXIST ? -ESTALE : r;
	HASH_ITER(hh, ipam->entries, entry, next)
		if (!memcmp(&entry->block, cidr, sizeof(*cidr))) {
			ipam->conflicts++;
			entry_drop(ipam, entry);
		}
	return 0;
}

/* Only blocks on which there is work; reading one may change entries, so names come first. */
static int batch_pending_blocks(struct batch *batch, bool unreserve, struct err *err)
{
	struct cidrs cidrs = {};
	struct entry *entry, *next;
	struct batch_block *at;
	int r = 0;

	HASH_ITER(hh, batch->ipam->entries, entry, next)
		if (is_pending(entry) && (unreserve || entry->state != ENTRY_UNRESERVING))
			cidrs_add(&cidrs, &entry->block);
	for (size_t i = 0; i < cidrs.count && r >= 0; i++) {
		r = batch_block(batch, &cidrs.list[i], &at, err);
		if (r == -ENOENT)
			r = revive_block(batch->ipam, &cidrs.list[i], err);
	}
	return r;
}

static struct batch_block *block_of(struct batch *batch, const struct entry *entry)
{
	for (size_t i = 0; i < batch->block_count; i++)
		if (!memcmp(&batch->blocks[i].cached->cidr, &entry->block, sizeof(entry->block)))
			return &batch->blocks[i];
	return NULL;
}

static void batch_pending(struct batch *batch, bool unreserve)
{
	struct entry *entry, *next;

	HASH_ITER(hh, batch->ipam->entries, entry, next) {
		struct batch_block *at = is_pending(entry) ? block_of(batch, entry) : NULL;

		if (at && (unreserve || entry->state != ENTRY_UNRESERVING))
			batch_entry(batch, at, entry);
		else if (entry->state == ENTRY_RELEASING && batch_is_missing(batch, &entry->block))
			batch_not_ours(batch, entry);
	}
}

/* --- refill ---------------------------------------------------------------------------------- */

static void own_blocks(struct ipam *ipam, const struct pool *pool, struct cidrs *ret_cidrs)
{
	struct cached_block *cached, *next;

	HASH_ITER(hh, ipam->blocks, cached, next) {
		union mg_addr first = cached->cidr.addr;
		__u64 now = ipam->now(ipam->now_arg);

		if (!prefix_contains(&pool->cidr, &first) ||
		    !block_is_of(cached->block, ipam->node))
			continue;
		if (!cached->stale)
			block_mature(cached->block, now, ipam->pools->cooldown_ms);
		if (may_give(ipam, cached))
			cidrs_add(ret_cidrs, &cached->cidr);
	}
}

static int refill_pool(struct batch *batch, const struct pool *pool, unsigned int want,
		       struct err *err)
{
	struct cidrs cidrs = {};
	struct batch_block *at;
	int r;

	own_blocks(batch->ipam, pool, &cidrs);
	for (size_t i = 0; i < cidrs.count && want; i++) {
		r = batch_block(batch, &cidrs.list[i], &at, err);
		if (r == -ENOBUFS)
			break;
		if (r < 0 && r != -ENOENT)
			return r;
		if (!r && block_is_of(at->cached->block, batch->ipam->node))
			want -= batch_refill(batch, at, want);
	}
	return 0;
}

static int batch_refills(struct batch *batch, struct err *err)
{
	struct ipam *ipam = batch->ipam;
	unsigned int want;
	int r;

	for (size_t i = 0; i < ipam->pools->count; i++) {
		if (!pool_wants(ipam, &ipam->pools->list[i], &want))
			continue;
		r = refill_pool(batch, &ipam->pools->list[i], want, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int write_entries(struct ipam *ipam, struct err *err)
{
	_cleanup_(batch_free_p) struct batch *batch = batch_new(ipam);
	/* A reserve that is given back must never come back from the journal. */
	bool unreserve = ipam_journal_sync(ipam->journal) >= 0;
	int r;

	r = batch_pending_blocks(batch, unreserve, err);
	if (r >= 0) {
		batch_pending(batch, unreserve);
		r = batch_refills(batch, err);
	}
	if (r < 0) {
		batch_spoil(batch);
		return r;
	}
	return ipam->wake ? batch_start(TAKE_PTR(batch), err) : batch_commit(batch, err);
}
