/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <string.h>

#include "base/arena.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

/* Large enough to be a mapping of its own: its pages count when they are used. */
#define CHUNK_BYTES (256U << 10)

struct slab_chunk {
	struct slab_chunk *next;
	char data[CHUNK_BYTES - sizeof(struct slab_chunk *)];
};

struct slab_piece {
	struct slab_piece *next;
};

static size_t rounded(size_t size)
{
	return size ? (size + 7) & ~(size_t)7 : 8;
}

static void add_chunk(struct slab *slab)
{
	struct slab_chunk *chunk = xmalloc(sizeof(*chunk));

	chunk->next = slab->chunks;
	slab->chunks = chunk;
	slab->left = sizeof(chunk->data);
	ASAN_POISON_MEMORY_REGION(chunk->data, sizeof(chunk->data));
}

static void *take(struct slab *slab, size_t size)
{
	struct slab_piece *piece = slab->free[size / 8];

	if (piece) {
		ASAN_UNPOISON_MEMORY_REGION(piece, size);
		slab->free[size / 8] = piece->next;
		return piece;
	}
	if (slab->left < size)
		add_chunk(slab);
	slab->left -= size;
	piece = (void *)(slab->chunks->data + slab->left);
	ASAN_UNPOISON_MEMORY_REGION(piece, size);
	return piece;
}

void *slab_alloc(struct slab *slab, size_t size)
{
	size = rounded(size);
	slab->used += size;
	if (size > SLAB_PIECE_MAX)
		return xcalloc(1, size);
	return memset(take(slab, size), 0, size);
}

void slab_free(struct slab *slab, void *at, size_t size)
{
	struct slab_piece *piece = at;

	if (!piece)
		return;
	size = rounded(size);
	slab->used -= size;
	if (size > SLAB_PIECE_MAX) {
		free(piece);
		return;
	}
	piece->next = slab->free[size / 8];
	slab->free[size / 8] = piece;
	ASAN_POISON_MEMORY_REGION(piece, size);
}

void slab_done(struct slab *slab)
{
	for (struct slab_chunk *chunk = slab->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		ASAN_UNPOISON_MEMORY_REGION(chunk->data, sizeof(chunk->data));
		free(chunk);
	}
	*slab = (struct slab){ 0 };
}
