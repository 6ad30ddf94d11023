/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena: memory that is given piece by piece and freed all at once. One API object is one
 * arena, so no per-field free function exists that could be forgotten. Out of memory aborts:
 * the agent is crash-only, and sizes that come from outside are limited before they get here.
 */
#ifndef MARGAY_BASE_ARENA_H
#define MARGAY_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/cleanup.h"

struct arena;

struct arena *arena_new(void);

/* With room for exactly so much: for what is made a second time. */
struct arena *arena_new_sized(size_t bytes);
void arena_free(struct arena *arena); /* accepts NULL */
DEFINE_CLEANUP(struct arena *, arena_free)
#define _cleanup_arena_ _cleanup_(arena_free_p)

/* Zeroed, aligned to 16 bytes (texts are packed without gaps). Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size); /* aborts on overflow */
char *arena_strdup(struct arena *arena, const char *text);	   /* NULL stays NULL */
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Bytes taken from the system, for accounting. */
size_t arena_bytes(const struct arena *arena);

/* Bytes given out, gaps for alignment included. */
size_t arena_used(const struct arena *arena);

/* malloc and relatives that abort instead of returning NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
