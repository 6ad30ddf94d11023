/* SPDX-License-Identifier: Apache-2.0 */
/* What a node gives back: reserve beyond need, idle pools, blocks it may not have any more. */
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

static bool has_entries(const struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		if (!memcmp(&entry->block, cidr, sizeof(*cidr)))
			return true;
	return false;
}

static bool is_unwanted(struct ipam *ipam, struct cached_block *cached)
{
	union mg_addr first = cached->cidr.addr;
	const struct pool *pool = pools_of(ipam->pools, &first);

	if (pool && (pool->disabled || pool_selects_node(pool, &ipam->labels)))
		return false;
	block_mature(cached->block, ipam->now(ipam->now_arg), ipam->pools->cooldown_ms);
	return block_is_empty(cached->block);
}

int give_up_blocks(struct ipam *ipam, struct err *err)
{
	struct cached_block *cached, *next;
	int r;

	HASH_ITER(hh, ipam->blocks, cached, next) {
		if (has_entries(ipam, &cached->cidr))
			continue;
		if (!block_is_of(cached->block, ipam->node)) {
			cached_drop(ipam, cached);
			continue;
		}
		if (cached->stale || !is_unwanted(ipam, cached))
			continue;
		r = give_up_block(ipam, cached, err);
		if (r < 0)
			return r;
	}
	return 0;
}
