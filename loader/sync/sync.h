/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived maps: the difference between the rows that should be there (state/table.h) and those
 * that are, applied in an order that never lets a row name one that is missing: additions and
 * changes by rising rank of their map, then removals by falling rank.
 *
 * sync remembers what it wrote; of a map it does not know yet, or whose write failed, it reads the
 * rows from the kernel first. A failed write is tried again after 100 ms, doubling up to 30 s;
 * other maps go on. Nothing is removed before sync_allow_removal(): a starting agent knows too
 * little. The maps of the policy engine are not here: plan.h.
 *
 * Array maps: a row whose value is all zero counts as absent, removal writes zeroes.
 */
#ifndef MARGAY_SYNC_SYNC_H
#define MARGAY_SYNC_SYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "state/table.h"

struct dp;
struct sync;

/* How rows get to the kernel; tests bring their own. Batches are count keys and values one after
 * another; ret_done is set also on failure. Return 0 or -errno. */
struct sync_ops {
	int (*read)(void *data, struct table *table); /* fills and seals an empty table */
	int (*set)(void *data, const char *map, const void *keys, const void *values, size_t count,
		   size_t *ret_done);
	int (*remove)(void *data, const char *map, const void *keys, size_t count,
		      size_t *ret_done);
};

/* Told of each row after it was written; before or after is NULL where it was or is absent. What
 * they point to is not aligned. */
typedef void (*sync_change_fn)(const char *map, const void *key, const void *before,
			       const void *after, void *data);

struct sync *sync_new(const struct sync_ops *ops, void *ops_data);
/* dp is borrowed. */
struct sync *sync_new_dp(struct dp *dp);
void sync_free(struct sync *sync); /* accepts NULL */
DEFINE_CLEANUP(struct sync *, sync_free)

void sync_on_change(struct sync *sync, sync_change_fn function, void *data);
void sync_allow_removal(struct sync *sync);

/* The rows wanted in table->map from now on; rows are moved out of table, which is left empty.
 * -ENOENT: no such map in the rank table. */
int sync_want(struct sync *sync, struct table *table);

/* Forgets what was written (another program may have touched the maps): the next run reads. */
void sync_forget(struct sync *sync);

struct sync_status {
	size_t written; /* rows, in all runs */
	size_t removed;
	size_t waiting;	   /* rows not yet as wanted after the last run */
	uint64_t retry_ms; /* when to run again, in the clock of sync_run(); 0: no need */
	struct err error;  /* of the last failed map; code 0: none */
	const char *map;   /* that failed, or NULL */
};

/* Writes what differs; now_ms is a monotonic clock. 0, or the first failure (in status too). */
int sync_run(struct sync *sync, uint64_t now_ms, struct sync_status *ret_status);

#endif
