/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small pieces that live long, packed: no header, sizes rounded up to 8, aligned to 8. They lie in
 * chunks of their own, so that what comes and goes in the heap between them leaves no holes around
 * them. A piece that is freed serves the next one of its size. The owner knows the size of each.
 *
 * Zeroed memory is an empty slab.
 */
#ifndef MARGAY_BASE_SLAB_H
#define MARGAY_BASE_SLAB_H

#include <stddef.h>

#define SLAB_PIECE_MAX 512 /* larger ones come from malloc */

struct slab_chunk;
struct slab_piece;

struct slab {
	struct slab_chunk *chunks;
	size_t left; /* of the newest chunk */
	size_t used; /* bytes in pieces, for accounting */
	struct slab_piece *free[SLAB_PIECE_MAX / 8 + 1];
};

void *slab_alloc(struct slab *slab, size_t size); /* zeroed, never NULL */
void slab_free(struct slab *slab, void *piece, size_t size);
/* All pieces but those larger than SLAB_PIECE_MAX, which are freed one by one. */
void slab_done(struct slab *slab);

#endif
