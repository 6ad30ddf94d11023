/* SPDX-License-Identifier: Apache-2.0 */
#include "base/index.h"

#include <string.h>

#include "base/arena.h"

#define ROOM_FIRST 16

static uint32_t home_of(const struct index *index, uintptr_t word)
{
	return index_home(index, index->hash(index->context, word));
}

static void place(struct index *index, uintptr_t word)
{
	uint32_t at = home_of(index, word);

	while (index->word[at])
		at = index_next(index, at);
	index->word[at] = word;
}

static void resize(struct index *index, uint32_t room)
{
	struct index old = *index;

	index->word = xcalloc(room, sizeof(*index->word));
	index->room = room;
	index_for_each(&old, word) place(index, word);
	free(old.word);
}

void index_add(struct index *index, uintptr_t word)
{
	if (!index->room)
		resize(index, ROOM_FIRST);
	else if (index->count >= index->room - index->room / 4)
		resize(index, index->room + index->room / 2);
	place(index, word);
	index->count++;
}

static uint32_t place_of(const struct index *index, uintptr_t word)
{
	uint32_t at = home_of(index, word);

	while (index->word[at] != word)
		at = index_next(index, at);
	return at;
}

void index_replace(struct index *index, uintptr_t old, uintptr_t by)
{
	index->word[place_of(index, old)] = by;
}

/* Steps from a to b, forwards. */
static uint32_t way(const struct index *index, uint32_t a, uint32_t b)
{
	return b >= a ? b - a : b + index->room - a;
}

/* Closes the gap, so that no entry stands behind an empty place on its way from home. */
void index_del(struct index *index, uintptr_t word)
{
	uint32_t gap = place_of(index, word);

	index->count--;
	for (uint32_t at = index_next(index, gap); index->word[at]; at = index_next(index, at)) {
		uint32_t home = home_of(index, index->word[at]);

		if (way(index, home, at) < way(index, gap, at))
			continue;
		index->word[gap] = index->word[at];
		gap = at;
	}
	index->word[gap] = 0;
	if (index->room > ROOM_FIRST && index->count < index->room / 4)
		resize(index, index->room / 2);
}

void index_done(struct index *index)
{
	free(index->word);
	index->word = NULL;
	index->room = index->count = 0;
}
