/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/hmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static void rehash(struct hmap *map, uint32_t size)
{
	struct hnode **bucket = xcalloc(size, sizeof(*bucket));

	hmap_for_each(map, i, node, after)
	{
		node->next = bucket[node->hash & (size - 1)];
		bucket[node->hash & (size - 1)] = node;
	}
	free(map->bucket);
	map->bucket = bucket;
	map->mask = size - 1;
}

void hmap_add(struct hmap *map, struct hnode *node, uint32_t hash)
{
	if (!map->bucket)
		rehash(map, 8);
	else if (map->count > map->mask)
		rehash(map, (map->mask + 1) * 2);
	node->hash = hash;
	node->next = map->bucket[hash & map->mask];
	map->bucket[hash & map->mask] = node;
	map->count++;
}

void hmap_del(struct hmap *map, struct hnode *node)
{
	struct hnode **at = &map->bucket[node->hash & map->mask];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	map->count--;
}

void hmap_done(struct hmap *map)
{
	free(map->bucket);
	*map = (struct hmap){};
}

struct hnode *hmap_first(const struct hmap *map, uint32_t hash)
{
	struct hnode *node;

	if (!map->bucket)
		return NULL;
	node = map->bucket[hash & map->mask];
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct hnode *hmap_same(const struct hnode *node)
{
	struct hnode *next = node->next;

	while (next && next->hash != node->hash)
		next = next->next;
	return next;
}

static uint64_t mix(const void *data, size_t size, uint64_t seed)
{
	const unsigned char *at = data;
	uint64_t h = seed + size * 0x9e3779b97f4a7c15ULL, word;

	for (; size >= 8; size -= 8, at += 8) {
		memcpy(&word, at, 8);
		h = (h ^ word) * 0x9fb21c651e98df25ULL;
		h ^= h >> 32;
	}
	if (size) {
		word = 0;
		memcpy(&word, at, size);
		h = (h ^ word) * 0x9fb21c651e98df25ULL;
		h ^= h >> 32;
	}
	return h;
}

uint32_t hash_bytes(const void *data, size_t size, uint32_t seed)
{
	return hash_u64(mix(data, size, seed), 0);
}

void hash_wide(const void *data, size_t size, uint64_t ret_hash[2])
{
	ret_hash[0] = mix(data, size, 0x243f6a8885a308d3ULL);
	ret_hash[1] = mix(data, size, 0x13198a2e03707344ULL);
}

uint32_t hash_text(const char *text, uint32_t seed)
{
	return hash_bytes(text, strlen(text), seed);
}
