/* SPDX-License-Identifier: Apache-2.0 */
#include "model/index.h"

#include <stdlib.h>
#include <string.h>

void index_done(struct objects_index *index)
{
	for (size_t i = 0; i < index->chunks; i++)
		free(index->v[i]);
	free(index->v);
	index->v = NULL;
	index->chunks = index->count = 0;
}

/* The first chunk whose last object is not less than probe; index->chunks: none. */
static size_t seek_chunk(const struct objects_index *index, const struct object *probe)
{
	size_t low = 0, high = index->chunks;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct index_chunk *chunk = index->v[middle];

		if (index->cmp(chunk->v[chunk->count - 1], probe) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t seek_in(const struct objects_index *index, const struct index_chunk *chunk,
		      const struct object *probe)
{
	size_t low = 0, high = chunk->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (index->cmp(chunk->v[middle], probe) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct index_place index_seek(const struct objects_index *index, const struct object *probe)
{
	struct index_place place = { .chunk = seek_chunk(index, probe) };

	if (place.chunk < index->chunks)
		place.at = seek_in(index, index->v[place.chunk], probe);
	return place;
}

const struct object *index_take(const struct objects_index *index, struct index_place *place)
{
	const struct index_chunk *chunk;

	if (place->chunk >= index->chunks)
		return NULL;
	chunk = index->v[place->chunk];
	if (place->at >= chunk->count) {
		if (++place->chunk >= index->chunks)
			return NULL;
		place->at = 0;
		chunk = index->v[place->chunk];
	}
	return chunk->v[place->at++];
}

const struct object *index_find(const struct objects_index *index, const struct object *probe)
{
	struct index_place place = index_seek(index, probe);
	const struct object *found = index_take(index, &place);

	return found && !index->cmp(found, probe) ? found : NULL;
}

static struct index_chunk *insert_chunk(struct objects_index *index, size_t at)
{
	index->v = xrealloc(index->v, index->chunks + 1, sizeof(*index->v));
	memmove(index->v + at + 1, index->v + at, (index->chunks - at) * sizeof(*index->v));
	index->chunks++;
	index->v[at] = xmalloc(sizeof(*index->v[at]));
	index->v[at]->count = 0;
	return index->v[at];
}

/* Room at a place. A full chunk gives its upper half to a new one; the last chunk, which grows
 * at its end when objects come sorted, is left full. */
static struct index_chunk *make_room(struct objects_index *index, struct index_place *place)
{
	struct index_chunk *chunk = index->v[place->chunk], *upper;
	const bool at_end = place->chunk + 1 == index->chunks && place->at == chunk->count;
	size_t keep = at_end ? INDEX_CHUNK : INDEX_CHUNK / 2;

	if (chunk->count < INDEX_CHUNK)
		return chunk;
	upper = insert_chunk(index, place->chunk + 1);
	upper->count = chunk->count - keep;
	memcpy(upper->v, chunk->v + keep, upper->count * sizeof(*upper->v));
	chunk->count = keep;
	if (place->at < keep || (place->at == keep && !at_end))
		return chunk;
	place->chunk++;
	place->at -= keep;
	return upper;
}

void index_put(struct objects_index *index, const struct object *object)
{
	struct index_place place = index_seek(index, object);
	struct index_chunk *chunk;

	if (place.chunk < index->chunks &&
	    !index->cmp(index->v[place.chunk]->v[place.at], object)) {
		index->v[place.chunk]->v[place.at] = object;
		return;
	}
	if (!index->chunks) {
		insert_chunk(index, 0);
	} else if (place.chunk == index->chunks) {
		place.chunk--;
		place.at = index->v[place.chunk]->count;
	}
	chunk = make_room(index, &place);
	memmove(chunk->v + place.at + 1, chunk->v + place.at,
		(chunk->count - place.at) * sizeof(*chunk->v));
	chunk->v[place.at] = object;
	chunk->count++;
	index->count++;
}

static void remove_chunk(struct objects_index *index, size_t at)
{
	free(index->v[at]);
	memmove(index->v + at, index->v + at + 1, (--index->chunks - at) * sizeof(*index->v));
}

/* Joins a chunk with the next where both together fill half of one: what is left after many
 * deletes does not stay scattered. */
static void join_next(struct objects_index *index, size_t at)
{
	struct index_chunk *chunk = index->v[at], *next;

	if (at + 1 >= index->chunks)
		return;
	next = index->v[at + 1];
	if (chunk->count + next->count > INDEX_CHUNK / 2)
		return;
	memcpy(chunk->v + chunk->count, next->v, next->count * sizeof(*next->v));
	chunk->count += next->count;
	remove_chunk(index, at + 1);
}

void index_drop(struct objects_index *index, const struct object *probe)
{
	struct index_place place = index_seek(index, probe);
	struct index_chunk *chunk;

	if (place.chunk == index->chunks)
		return;
	chunk = index->v[place.chunk];
	if (index->cmp(chunk->v[place.at], probe))
		return;
	index->count--;
	memmove(chunk->v + place.at, chunk->v + place.at + 1,
		(--chunk->count - place.at) * sizeof(*chunk->v));
	if (chunk->count)
		join_next(index, place.chunk);
	else
		remove_chunk(index, place.chunk);
}

size_t index_bytes(const struct objects_index *index)
{
	return index->chunks * (sizeof(struct index_chunk) + sizeof(*index->v));
}
