/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a packet's bytes: every read is by bytes_at(), which checks the end first.
 *
 * An offset that depends on the packet goes through memory (forget()) before it is used: to the
 * verifier it is then any number below FRAME_OFFSETS, and one walk stands for all. In a register
 * it would be followed a path a value, and a walk over six headers would cost 100,000 steps.
 */
#ifndef MARGAY_LIB_CURSOR_H
#define MARGAY_LIB_CURSOR_H

#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define FRAME_OFFSETS 1024

struct frame {
	void *data;
	void *end;
};

/* size bytes (a constant) at offset, or NULL where the frame ends before. */
static __always_inline void *bytes_at(const struct frame *frame, __u32 offset, __u32 size)
{
	void *here = frame->data + (offset & (FRAME_OFFSETS - 1));

	return here + size > frame->end ? NULL : here;
}

/* A value in the scratch row, as one that nothing is known of. */
static __always_inline __u32 recall(const __u16 *place)
{
	return *(const volatile __u16 *)place;
}

/* The same, of a value that is put there first. */
static __always_inline __u32 forget(__u16 *place, __u32 value)
{
	*(volatile __u16 *)place = value;
	return recall(place);
}

#endif
