/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash of places: one word for each entry in an open-addressed array, and nothing in the entries
 * themselves (uthash takes 56 bytes of each). What a word means (a pointer, a number, a pointer
 * with a number in its low bits) is the owner's business; 0 is an empty place. The hash is not
 * kept: the owner's function tells it of a word when the array grows or a gap is closed.
 *
 * Equal hashes may stand for several entries:
 *
 *	index_for_each_of(&index, hash, word)
 *		if (is_it(word)) ...
 *
 * Full to three quarters it grows by half (fuller, a search that finds nothing would visit dozens
 *of entries): 11 to 16 bytes an entry. Nothing may be added or removed while it is walked. Zeroed
 *memory with a hash function is an empty index.
 */
#ifndef MARGAY_BASE_INDEX_H
#define MARGAY_BASE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct index {
	uint32_t (*hash)(const void *context, uintptr_t word);
	const void *context;
	uintptr_t *word;
	uint32_t room;
	uint32_t count;
};

void index_add(struct index *index, uintptr_t word);
void index_del(struct index *index, uintptr_t word); /* must be there */
/* Both words have one hash. */
void index_replace(struct index *index, uintptr_t old, uintptr_t by);
void index_done(struct index *index);

/* Where entries of a hash begin; they end before an empty place. */
static inline uint32_t index_home(const struct index *index, uint32_t hash)
{
	return (uint32_t)((uint64_t)hash * index->room >> 32);
}

static inline uint32_t index_next(const struct index *index, uint32_t at)
{
	return at + 1 == index->room ? 0 : at + 1;
}

/* Entries that may have the hash: others are among them. */
#define index_for_each_of(index, wanted, at)                                                       \
	for (uint32_t _i = index_home(index, wanted), _go = (index)->room; _go; _go = 0)           \
		for (uintptr_t at; (at = (index)->word[_i]) != 0; _i = index_next(index, _i))

#define index_for_each(index, at)                                                                  \
	for (uint32_t _i = 0; _i < (index)->room; _i++)                                            \
		for (uintptr_t at = (index)->word[_i]; at; at = 0)

#endif
