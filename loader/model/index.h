/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered set of objects: chunks of sorted pointers. A put or delete moves at most a chunk,
 * so lists that come unsorted cost no more than sorted ones. Private to model/.
 */
#ifndef MARGAY_MODEL_INDEX_H
#define MARGAY_MODEL_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "model/object.h"

#define INDEX_CHUNK 128

struct index_chunk {
	size_t count; /* never 0 */
	const struct object *v[INDEX_CHUNK];
};

typedef int (*index_cmp)(const struct object *a, const struct object *b);

struct objects_index {
	index_cmp cmp;
	size_t chunks;
	struct index_chunk **v;
	size_t count;
};

struct index_place {
	size_t chunk;
	size_t at;
};

void index_done(struct objects_index *index);

/* Inserts, or replaces the equal one. */
void index_put(struct objects_index *index, const struct object *object);

/* Takes out the object equal to probe, if there is one. */
void index_drop(struct objects_index *index, const struct object *probe);

/* Place of the first object that is not less than probe. */
struct index_place index_seek(const struct objects_index *index, const struct object *probe);

/* The object at a place, NULL behind the last; moves the place on. */
const struct object *index_take(const struct objects_index *index, struct index_place *place);

/* The object equal to probe, NULL: none. */
const struct object *index_find(const struct objects_index *index, const struct object *probe);

size_t index_bytes(const struct objects_index *index);

#endif
