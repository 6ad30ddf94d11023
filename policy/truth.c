/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/truth.h"

#include <string.h>

static int entry_cmp(const void *a, const void *b)
{
	truth_entry x = *(const truth_entry *)a, y = *(const truth_entry *)b;

	return x < y ? -1 : x > y;
}

static bool sorted(const truth_entry *entry, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (entry[i - 1] >= entry[i])
			return false;
	return true;
}

struct truth *truth_ref(struct truth *truth)
{
	truth->refs++;
	return truth;
}

void truth_unref(struct truths *truths, struct truth *truth)
{
	if (!truth || --truth->refs)
		return;
	hmap_del(&truths->by_content, &truth->node);
	free(truth);
}

struct truth *truth_intern(struct truths *truths, truth_entry *entry, size_t count)
{
	struct truth *truth;
	struct hnode *node;
	uint32_t hash;
	size_t n = 0;

	if (!sorted(entry, count)) {
		qsort(entry, count, sizeof(*entry), entry_cmp);
		for (size_t i = 0; i < count; i++)
			if (!n || entry[n - 1] != entry[i])
				entry[n++] = entry[i];
		count = n;
	}
	hash = hash_bytes(entry, count * sizeof(*entry), 0);
	for (node = hmap_first(&truths->by_content, hash); node; node = hmap_same(node)) {
		truth = (struct truth *)node;
		if (truth->count == count &&
		    (!count || !memcmp(truth->entry, entry, count * sizeof(*entry))))
			return truth_ref(truth);
	}
	truth = xcalloc(1, sizeof(*truth) + count * sizeof(*entry));
	truth->refs = 1;
	truth->count = count;
	if (count)
		memcpy(truth->entry, entry, count * sizeof(*entry));
	hmap_add(&truths->by_content, &truth->node, hash);
	return truth;
}

static struct truth *merged(struct truths *truths, const struct truth *a, const truth_entry *entry,
			    size_t count)
{
	vec_reserve(&truths->scratch, a->count + count + 1);
	if (a->count)
		memcpy(truths->scratch.v, a->entry, a->count * sizeof(*entry));
	if (count)
		memcpy(truths->scratch.v + a->count, entry, count * sizeof(*entry));
	return truth_intern(truths, truths->scratch.v, a->count + count);
}

struct truth *truth_union(struct truths *truths, const struct truth *a, const struct truth *b)
{
	return merged(truths, a, b->entry, b->count);
}

struct truth *truth_with(struct truths *truths, const struct truth *truth, truth_entry *entry,
			 size_t count)
{
	return merged(truths, truth, entry, count);
}

uint32_t truth_find(const struct truth *truth, uint32_t atom)
{
	uint32_t low = 0, high = truth->count;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (truth_atom(truth->entry[mid]) < atom)
			low = mid + 1;
		else
			high = mid;
	}
	return low < truth->count && truth_atom(truth->entry[low]) == atom ? low : truth->count;
}

void truths_init(struct truths *truths)
{
	*truths = (struct truths){};
	truths->none = truth_intern(truths, NULL, 0);
}

void truths_done(struct truths *truths)
{
	hmap_for_each(&truths->by_content, i, node, after) free(node);
	hmap_done(&truths->by_content);
	vec_done(&truths->scratch);
}

static void mark(struct truths *truths, struct truth *truth, const uint64_t *dropped)
{
	size_t n = 0;

	vec_reserve(&truths->scratch, truth->count + 1);
	for (uint32_t i = 0; i < truth->count; i++) {
		uint32_t atom = truth_atom(truth->entry[i]);

		if (!(dropped[atom / 64] >> atom % 64 & 1))
			truths->scratch.v[n++] = truth->entry[i];
	}
	if (n != truth->count)
		truth->instead = truth_intern(truths, truths->scratch.v, n);
}

void truths_without(struct truths *truths, const uint64_t *dropped)
{
	VEC(struct truth *) all = {};

	/* Interning adds to the hash: walk a copy. */
	hmap_for_each(&truths->by_content, i, node, after) vec_push(&all, (struct truth *)node);
	for (size_t i = 0; i < all.n; i++)
		mark(truths, all.v[i], dropped);
	vec_done(&all);
}

void truths_settle(struct truths *truths)
{
	VEC(struct truth *) marked = {};

	hmap_for_each(&truths->by_content, i, node, after) if (((struct truth *)node)->instead)
		vec_push(&marked, (struct truth *)node);
	for (size_t i = 0; i < marked.n; i++) {
		struct truth *instead = marked.v[i]->instead;

		marked.v[i]->instead = NULL;
		truth_unref(truths, instead);
	}
	vec_done(&marked);
}

bool truth_follow(struct truths *truths, struct truth **at)
{
	struct truth *old = *at;

	if (!old || !old->instead)
		return false;
	*at = truth_ref(old->instead);
	/* A mark still needs it: the last reference goes in truths_settle(). */
	if (--old->refs == 0) {
		truth_unref(truths, old->instead);
		hmap_del(&truths->by_content, &old->node);
		free(old);
	}
	return true;
}
