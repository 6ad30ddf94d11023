/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "ipam/internal.h"

/* --- pools in use ---------------------------------------------------------------------------- */

/* A small pool is not taken whole by the reserves of a few nodes. */
static unsigned int share(const struct pool *pool)
{
	__u32 bits = MG_ADDR_BITS - pool->cidr.len;

	if (bits >= 20)
		return IPAM_RESERVE_MAX;
	return (1U << bits) / 8 ? (1U << bits) / 8 : 1;
}

static unsigned int least_of(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

unsigned int pool_target_min(const struct ipam *ipam, const struct pool *pool)
{
	return least_of(ipam->reserve, share(pool));
}

unsigned int pool_target_max(const struct ipam *ipam, const struct pool *pool)
{
	unsigned int least = pool_target_min(ipam, pool);
	unsigned int most = least_of(IPAM_RESERVE_MAX, share(pool));

	return most > least ? most : least;
}

struct pool_note *pool_note(struct ipam *ipam, const char *name)
{
	const struct pool *pool = pools_find(ipam->pools, name);
	struct pool_note *note;

	HASH_FIND_STR(ipam->notes, name, note);
	if (note)
		return note;
	note = xcalloc(1, sizeof(*note));
	note->name = xstrdup(name);
	note->target = pool ? pool_target_min(ipam, pool) : ipam->reserve;
	note->used_ms = note->short_ms = ipam->now(ipam->now_arg);
	HASH_ADD_KEYPTR(hh, ipam->notes, note->name, strlen(note->name), note);
	return note;
}

void pool_notes_clear(struct ipam *ipam)
{
	struct pool_note *note, *next;

	HASH_ITER(hh, ipam->notes, note, next) {
		HASH_DEL(ipam->notes, note);
		free(note->name);
		free(note);
	}
}

unsigned int count_state(const struct ipam *ipam, const char *pool, enum entry_state state)
{
	struct entry *entry, *next;
	unsigned int count = 0;

	HASH_ITER(hh, ipam->entries, entry, next)
		count += entry->state == state && !strcmp(entry->pool, pool);
	return count;
}

static int until(const struct ipam *ipam, __u64 due, __u64 longest)
{
	__u64 now = ipam->now(ipam->now_arg);

	if (due <= now || due - now > longest)
		return 0;
	return (int)(due - now);
}

bool is_unusable(const void *arg, const union mg_addr *addr)
{
	const struct ipam *ipam = arg;

	return pools_is_reserved(ipam->pools, addr) || entry_find((struct ipam *)ipam, addr);
}

bool is_down(const struct ipam *ipam)
{
	return ipam->down && until(ipam, ipam->down_until, DOWN_MAX_MS) > 0;
}

bool is_own(const struct ipam *ipam, const struct mg_prefix *cidr)
{
	struct cached_block *cached = cached_find((struct ipam *)ipam, cidr);

	return cached && block_is_of(cached->block, ipam->node);
}

/* --- when the next turn is wanted ------------------------------------------------------------ */

static bool is_short(struct ipam *ipam)
{
	unsigned int count;

	for (size_t i = 0; ipam->pools && i < ipam->pools->count; i++)
		if (pool_wants(ipam, &ipam->pools->list[i], &count))
			return true;
	return false;
}

int ipam_next(struct ipam *ipam)
{
	struct request *request;
	bool waits = false, fixed = false;

	DL_FOREACH(ipam->requests, request) {
		fixed |= request->fixed_count != 0;
		waits |= !request->fixed_count;
	}
	if (ipam->acks)
		return 0; /* ipam_commit() has something to say */
	if (ipam->flight)
		return IPAM_IDLE; /* its end wakes */
	if (ipam->down)
		return until(ipam, ipam->down_until, DOWN_MAX_MS);
	if (ipam->reload_pools || ipam->reload_blocks || ipam->noticed || write_needed(ipam) ||
	    (waits && !ipam->distrust))
		return 0;
	if (fixed && !ipam->distrust)
		return ipam->fixed_wait > 0 ? ipam->fixed_wait : 0;
	if (is_short(ipam))
		return 1000;
	return ipam->notes || ipam->blocks ? until(ipam, ipam->shed_ms + SHED_MS, SHED_MS)
					   : IPAM_IDLE;
}

/* --- for people ------------------------------------------------------------------------------ */

static bool is_searched_lately(const struct ipam *ipam, const struct pool_note *note)
{
	__u64 now = ipam->now(ipam->now_arg);

	return note && note->searched_ms && now - note->searched_ms < SHED_MS;
}

void ipam_read_status(struct ipam *ipam, struct ipam_status *ret_status)
{
	struct request *request;
	struct entry *entry, *next;
	struct ipam_status status = {
		.store_down = ipam->down,
		.store_err = ipam->down_err,
		.conflicts = ipam->conflicts,
		.distrust = ipam->distrust,
		.pool_count = ipam->pools ? ipam->pools->count : 0,
	};

	DL_FOREACH(ipam->requests, request)
		status.waiting++;
	HASH_ITER(hh, ipam->entries, entry, next)
		status.unwritten += entry->state != ENTRY_RESERVE && entry->state != ENTRY_LIVE;
	*ret_status = status;
}

static void count_blocks(struct ipam *ipam, const struct pool *pool,
			 struct ipam_pool_status *status)
{
	struct cached_block *cached, *next;

	HASH_ITER(hh, ipam->blocks, cached, next) {
		union mg_addr first = cached->cidr.addr;

		if (!prefix_contains(&pool->cidr, &first) ||
		    !block_is_of(cached->block, ipam->node))
			continue;
		status->blocks++;
		status->free_own += block_count_free(cached->block, is_unusable, ipam);
	}
}

int ipam_pool_status(struct ipam *ipam, size_t index, struct ipam_pool_status *ret_status)
{
	struct ipam_pool_status status = {};
	const struct pool *pool;
	struct pool_note *note;

	if (!ipam->pools || index >= ipam->pools->count)
		return -ENOENT;
	pool = &ipam->pools->list[index];
	HASH_FIND_STR(ipam->notes, pool->name, note);
	snprintf(status.name, sizeof(status.name), "%s", pool->name);
	status.cidr = pool->cidr;
	status.reserve = count_state(ipam, pool->name, ENTRY_RESERVE);
	status.target = note ? note->target : 0;
	status.used = count_state(ipam, pool->name, ENTRY_LIVE) +
		      count_state(ipam, pool->name, ENTRY_TAKEN);
	count_blocks(ipam, pool, &status);
	status.exhausted = !status.reserve && !status.free_own && is_searched_lately(ipam, note);
	*ret_status = status;
	return 0;
}

/* -ENOSPC: pools there are, but none has an address. */
static int family_ready(struct ipam *ipam, bool v4)
{
	bool any = false;

	for (size_t i = 0; i < ipam->pools->count; i++) {
		const struct pool *pool = &ipam->pools->list[i];
		struct ipam_pool_status status;

		if (pool->v4 != v4 || pool->manual || !(pool->uses & POOL_WORKLOAD) ||
		    !pool_selects_node(pool, &ipam->labels))
			continue;
		any = true;
		ipam_pool_status(ipam, i, &status);
		if (status.reserve || (!ipam->down && !status.exhausted))
			return 0;
	}
	return any ? -ENOSPC : -ENOENT;
}

int ipam_ready(struct ipam *ipam, struct err *err)
{
	int v4, v6;

	if (ipam->distrust)
		return err_set(err, -EAGAIN, "the address journal was lost");
	if (!ipam->pools)
		return err_set(err, -EAGAIN, "no pool was read: %.200s", ipam->down_err.text);
	v4 = family_ready(ipam, true);
	v6 = family_ready(ipam, false);
	if (v4 == -ENOSPC || v6 == -ENOSPC)
		return err_set(err, -ENOSPC, "no free IPv%d address%s", v4 == -ENOSPC ? 4 : 6,
			       ipam->down ? " in the reserve, and the store is out of reach" : "");
	if (v4 == -ENOENT && v6 == -ENOENT)
		return err_set(err, -ENOSPC, "no enabled pool selects this node");
	return 0;
}
