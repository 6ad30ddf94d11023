/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of BPF maps. struct dp_map is a descriptor with the sizes the kernel told; keys and values
 * are given as memory of these sizes (structures of abi/). Batches fall back to single calls where
 * the kernel has none for the map type.
 *
 * Return 0 or -errno: -ENOENT no such row, -E2BIG or -ENOSPC the map is full, -EEXIST.
 */
#ifndef MARGAY_DATAPLANE_MAP_H
#define MARGAY_DATAPLANE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "base/cleanup.h"

struct err;

#define DP_MAP_NAME_MAX 16

struct dp_map {
	int fd; /* whoever initialised it closes it */
	__u32 id;
	__u32 type; /* enum bpf_map_type */
	__u32 flags;
	__u32 key_size;
	__u32 value_size;
	__u32 entries;	 /* max_entries */
	size_t row_size; /* of a value in user space: of per-CPU maps, rounded up to 8, times CPUs
			  */
	char name[DP_MAP_NAME_MAX];
};

/* Takes fd over, also on failure. */
int dp_map_init(int fd, struct dp_map *ret_map, struct err *err);
void dp_map_done(struct dp_map *map);
#define _cleanup_map_ _cleanup_(dp_map_done)
#define DP_MAP_NONE { .fd = -1 }

/* Rows of an array are always there. */
bool dp_map_is_array(const struct dp_map *map);

int dp_map_get(const struct dp_map *map, const void *key, void *ret_value);
int dp_map_set(const struct dp_map *map, const void *key, const void *value);
int dp_map_add(const struct dp_map *map, const void *key, const void *value); /* -EEXIST */
int dp_map_delete(const struct dp_map *map, const void *key);

/* count rows; ret_done (may be NULL) tells also on failure how many rows went in, from the first.
 */
int dp_map_set_batch(const struct dp_map *map, const void *keys, const void *values, size_t count,
		     size_t *ret_done);
/* Rows that are not there do not count as failures. */
int dp_map_delete_batch(const struct dp_map *map, const void *keys, size_t count, size_t *ret_done);

/*
 * Walks a map in turns. A row that stays is seen at least once; a hash that is written meanwhile
 * may show rows twice. Start with a zeroed cursor; keys and values have room for max rows (at
 * least 64). ret_count rows were read; 0 and cursor->end: no more.
 */
struct dp_cursor {
	__u8 token[64];
	bool started;
	bool end;
	bool single; /* the kernel has no batch for this type: one by one */
};
int dp_map_next(const struct dp_map *map, struct dp_cursor *cursor, void *keys, void *values,
		size_t max, size_t *ret_count);

/* Every row to function, until it returns other than 0, which is returned. */
typedef int (*dp_row_fn)(const void *key, const void *value, void *data);
int dp_map_each(const struct dp_map *map, dp_row_fn function, void *data);

/* Rows in use of a hash or trie (walks it); entries of an array. */
int dp_map_fill(const struct dp_map *map, __u64 *ret_rows);
/* Bytes of kernel memory, as /proc/self/fdinfo tells (exact from 6.4). */
int dp_map_memory(const struct dp_map *map, __u64 *ret_bytes);

/* Sums a per-CPU row whose value is an array of __u64: drops, rule counters. */
int dp_map_sum(const struct dp_map *map, __u32 index, __u64 *ret_sum);

#endif
