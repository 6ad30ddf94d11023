/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

/* Small first chunk: most objects (a pod) are a few hundred bytes. */
#define CHUNK_FIRST 512
#define CHUNK_MAX 65536
#define ALIGN 16

struct chunk {
	struct chunk *next;
	size_t size;
	size_t used;
	size_t pad;
	char data[];
};

struct arena {
	struct chunk *chunks; /* newest first */
	size_t bytes;
	size_t used;
};

static struct chunk *chunk_new(struct arena *arena, size_t size)
{
	struct chunk *chunk = xmalloc(sizeof(*chunk) + size);

	*chunk = (struct chunk){ .next = arena->chunks, .size = size };
	arena->chunks = chunk;
	arena->bytes += sizeof(*chunk) + size;
	return chunk;
}

/* The next chunk, twice the last one, or as large as is asked. */
static struct chunk *grow(struct arena *arena, size_t size)
{
	size_t grown = arena->chunks ? arena->chunks->size * 2 : CHUNK_FIRST;

	if (grown > CHUNK_MAX)
		grown = CHUNK_MAX;
	return chunk_new(arena, grown < size ? size : grown);
}

struct arena *arena_new(void)
{
	return xcalloc(1, sizeof(struct arena));
}

struct arena *arena_new_sized(size_t bytes)
{
	struct arena *arena = arena_new();

	chunk_new(arena, bytes);
	return arena;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (struct chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(arena);
}

/* Memory of a chunk that begins at a multiple of align; not cleared. */
static void *take(struct arena *arena, size_t size, size_t align)
{
	struct chunk *chunk = arena->chunks;
	size_t at;

	if (size > SIZE_MAX / 4)
		abort();
	at = chunk ? (chunk->used + align - 1) & ~(align - 1) : 0;
	if (!chunk || at > chunk->size || chunk->size - at < size) {
		chunk = grow(arena, size);
		at = 0;
	}
	arena->used += at - chunk->used + size;
	chunk->used = at + size;
	return chunk->data + at;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(take(arena, size, ALIGN), 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		abort();
	return arena_alloc(arena, bytes);
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t length;

	if (!text)
		return NULL;
	length = strlen(text) + 1;
	return memcpy(take(arena, length, 1), text, length);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		abort();
	text = take(arena, (size_t)length + 1, 1);
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

size_t arena_bytes(const struct arena *arena)
{
	return arena->bytes;
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

void *xrealloc(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

char *xstrdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

char *xvasprintf(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		abort();
	return text;
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	return text;
}
