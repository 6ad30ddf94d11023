/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A place in a packet's bytes that moves only past what has been checked.
 */
#ifndef MARGAY_LIB_CURSOR_H
#define MARGAY_LIB_CURSOR_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct cursor {
	void *start;
	void *pos;
	void *end;
};

/* The next size bytes (a constant), or NULL where the packet ends before. */
static __always_inline void *take(struct cursor *cursor, __u32 size)
{
	void *here = cursor->pos;

	if (here + size > cursor->end)
		return NULL;
	cursor->pos = here + size;
	return here;
}

/* Passes over bytes that nobody reads; 0, or -1 where the packet ends before. */
static __always_inline int skip_bytes(struct cursor *cursor, __u32 size)
{
	if (cursor->pos + size > cursor->end)
		return -1;
	cursor->pos += size;
	return 0;
}

static __always_inline __u16 cursor_offset(const struct cursor *cursor)
{
	return cursor->pos - cursor->start;
}

#endif
