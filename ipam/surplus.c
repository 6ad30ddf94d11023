/* SPDX-License-Identifier: Apache-2.0 */
/* What a node gives back: reserve beyond need, idle pools, blocks it may not have any more. */
#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "ipam/internal.h"

static void calm_down(struct ipam *ipam, const struct pool *pool, struct pool_note *note)
{
	unsigned int least = pool_target_min(ipam, pool);
	__u64 now = ipam->now(ipam->now_arg);

	if (note->target <= least || now - note->short_ms < TARGET_CALM_MS)
		return;
	note->target = note->target / 2 > least ? note->target / 2 : least;
	note->short_ms = now;
}

static bool is_idle(struct ipam *ipam, const struct pool_note *note)
{
	return ipam->now(ipam->now_arg) - note->used_ms >= POOL_IDLE_MS &&
	       !count_state(ipam, note->name, ENTRY_LIVE) &&
	       !count_state(ipam, note->name, ENTRY_TAKEN);
}

/* The newest ones go first: the oldest are next to be given out. */
static struct entry *newest_reserve(struct ipam *ipam, const char *pool)
{
	struct entry *entry, *next, *best = NULL;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (entry->state == ENTRY_RESERVE && !entry->pinned && !strcmp(entry->pool, pool) &&
		    (!best || entry->order > best->order))
			best = entry;
	return best;
}

static void shed_pool(struct ipam *ipam, const char *name, unsigned int keep)
{
	unsigned int have = count_state(ipam, name, ENTRY_RESERVE);

	for (struct entry *entry; have > keep && (entry = newest_reserve(ipam, name)); have--)
		entry_set(ipam, entry, ENTRY_UNRESERVING, NULL);
}

static void shed_reserved(struct ipam *ipam)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (entry->state == ENTRY_RESERVE && pools_is_reserved(ipam->pools, &entry->addr))
			entry_set(ipam, entry, ENTRY_UNRESERVING, NULL);
}

void shed_surplus(struct ipam *ipam)
{
	struct pool_note *note, *next;

	shed_reserved(ipam);
	HASH_ITER(hh, ipam->notes, note, next) {
		const struct pool *pool = pools_find(ipam->pools, note->name);
		unsigned int keep = 0;

		if (pool)
			calm_down(ipam, pool, note);
		if (pool && pool_selects_node(pool, &ipam->labels))
			keep = note->target;
		if (is_idle(ipam, note))
			keep = 0;
		if (!note->demand)
			shed_pool(ipam, note->name, keep);
		if (!keep && !note->demand && !count_state(ipam, note->name, ENTRY_RESERVE)) {
			HASH_DEL(ipam->notes, note);
			free(note->name);
			free(note);
		}
	}
	ipam->shed_ms = ipam->now(ipam->now_arg);
}

/* --- blocks ---------------------------------------------------------------------------------- */

/* Addresses of the block that this node holds ahead of need; -EBUSY: others of its, too. */
static int held_ahead(const struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct entry *entry, *next;
	int count = 0;

	HASH_ITER(hh, ipam->entries, entry, next) {
		if (memcmp(&entry->block, cidr, sizeof(*cidr)))
			continue;
		if (entry->state != ENTRY_RESERVE || entry->pinned)
			return -EBUSY;
		count++;
	}
	return count;
}

static void unreserve_block(struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (!memcmp(&entry->block, cidr, sizeof(*cidr)))
			entry_set(ipam, entry, ENTRY_UNRESERVING, NULL);
}

static const struct pool *pool_of(const struct ipam *ipam, const struct cached_block *cached)
{
	union mg_addr first = cached->cidr.addr;

	return pools_of(ipam->pools, &first);
}

static void mature(struct ipam *ipam, struct cached_block *cached)
{
	block_mature(cached->block, ipam->now(ipam->now_arg), ipam->pools->cooldown_ms);
}

/* Another block of the node's has room for what may come. */
static bool has_room_beside(struct ipam *ipam, const struct cached_block *cached)
{
	struct cached_block *other, *next;

	HASH_ITER(hh, ipam->blocks, other, next) {
		if (other == cached || other->stale || !block_is_of(other->block, ipam->node) ||
		    pool_of(ipam, other) != pool_of(ipam, cached))
			continue;
		mature(ipam, other);
		if (other->block->fifo_count * 2 >= other->block->size)
			return true;
	}
	return false;
}

static bool is_calm(struct ipam *ipam, const struct pool *pool)
{
	const struct pool_note *note;

	HASH_FIND_STR(ipam->notes, pool->name, note);
	return !note || note->target <= pool_target_min(ipam, pool);
}

/* What a burst of pods needed and the calm after it does not: for a while already. Where nodes
 * may not claim blocks by themselves, somebody gave it, and it stays. */
static bool is_spare(struct ipam *ipam, struct cached_block *cached, const struct pool *pool)
{
	__u64 now = ipam->now(ipam->now_arg);

	if (!ipam->pools->auto_blocks || !is_calm(ipam, pool) || !has_room_beside(ipam, cached))
		return false;
	if (!cached->spare_ms || cached->spare_ms > now)
		cached->spare_ms = now;
	cached->leaving = now - cached->spare_ms >= BLOCK_SPARE_MS;
	return true;
}

/* Nobody is in the block; ahead: addresses that this node holds there ahead of need. */
static bool is_unwanted(struct ipam *ipam, struct cached_block *cached, unsigned int ahead)
{
	const struct pool *pool = pool_of(ipam, cached);

	if (pool && pool->disabled)
		return false;
	mature(ipam, cached);
	if (cached->block->size - cached->block->fifo_count != ahead)
		return false;
	if (!pool || !pool_selects_node(pool, &ipam->labels))
		return !ahead;
	return is_spare(ipam, cached, pool);
}

static int look_at_block(struct ipam *ipam, struct cached_block *cached, struct err *err)
{
	int ahead = held_ahead(ipam, &cached->cidr);

	if (!block_is_of(cached->block, ipam->node)) {
		if (!ahead)
			cached_drop(ipam, cached);
		return 0;
	}
	if (ahead < 0 || cached->stale || !is_unwanted(ipam, cached, (unsigned int)ahead)) {
		cached->spare_ms = 0;
		cached->leaving = false;
		return 0;
	}
	if (cached->spare_ms && !cached->leaving)
		return 0;
	if (!ahead)
		return give_up_block(ipam, cached, err);
	unreserve_block(ipam, &cached->cidr);
	return 0;
}

int give_up_blocks(struct ipam *ipam, struct err *err)
{
	struct cached_block *cached, *next;
	int r = 0;

	HASH_ITER(hh, ipam->blocks, cached, next)
		if (r >= 0)
			r = look_at_block(ipam, cached, err);
	return r;
}
