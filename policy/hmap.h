/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chained hash of objects that carry their own node. Sixteen bytes a node instead of
 * uthash's 56, and the hash is computed once by the caller: tables of pages, vectors and
 * chains are looked up millions of times in one build.
 */
#ifndef MARGAY_POLICY_HMAP_H
#define MARGAY_POLICY_HMAP_H

#include <stddef.h>
#include <stdint.h>

struct hnode {
	struct hnode *next;
	uint32_t hash;
};

struct hmap {
	struct hnode **bucket;
	uint32_t mask; /* buckets - 1 */
	uint32_t count;
};

void hmap_add(struct hmap *map, struct hnode *node, uint32_t hash);
void hmap_del(struct hmap *map, struct hnode *node);
void hmap_done(struct hmap *map); /* the nodes are the caller's */

/* Nodes of one hash, in no order. */
struct hnode *hmap_first(const struct hmap *map, uint32_t hash);
struct hnode *hmap_same(const struct hnode *node);

/* All nodes; the one visited may be removed. */
#define hmap_for_each(map, i, node, after)                                                         \
	for (uint32_t i = 0; (map)->bucket && i <= (map)->mask; i++)                               \
		for (struct hnode *node = (map)->bucket[i], *after;                                \
		     node && (after = node->next, 1); node = after)

/* Not for secrets: an ordinary mixing hash. */
uint32_t hash_bytes(const void *data, size_t size, uint32_t seed);
uint32_t hash_text(const char *text, uint32_t seed);

/* Wide enough to stand for the data, where nobody gains by two that are alike. */
void hash_wide(const void *data, size_t size, uint64_t ret_hash[2]);

static inline uint32_t hash_u64(uint64_t v, uint32_t seed)
{
	v = (v ^ seed) * 0x9fb21c651e98df25ULL;
	v ^= v >> 29;
	v *= 0xd6e8feb86659fd93ULL;
	return (uint32_t)(v ^ v >> 32);
}

#endif
