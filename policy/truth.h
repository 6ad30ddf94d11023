/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Truth vectors: the sorted list of atoms that are true, interned, so that all addresses of
 * equal truth share one and comparing is comparing pointers.
 *
 * An entry is an atom's number and, of atoms that have a value (a named port, a service's
 * member), the value: protocol << 16 | port. An atom with several values has several entries.
 */
#ifndef MARGAY_POLICY_TRUTH_H
#define MARGAY_POLICY_TRUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/hmap.h"
#include "policy/vec.h"

typedef uint64_t truth_entry;

static inline truth_entry truth_make(uint32_t atom, uint32_t value)
{
	return (uint64_t)atom << 32 | value;
}

static inline uint32_t truth_atom(truth_entry entry)
{
	return entry >> 32;
}

struct truth {
	struct hnode node;
	uint32_t refs;
	uint32_t count;
	struct truth *instead; /* while atoms are dropped: what it becomes; NULL: stays */
	truth_entry entry[];
};

struct truths {
	struct hmap by_content;
	struct truth *none; /* the empty one, always there */
	VEC(truth_entry) scratch;
};

void truths_init(struct truths *truths);
void truths_done(struct truths *truths);

/* entries are sorted here; doubles are dropped. One reference. */
struct truth *truth_intern(struct truths *truths, truth_entry *entry, size_t count);
struct truth *truth_union(struct truths *truths, const struct truth *a, const struct truth *b);
struct truth *truth_with(struct truths *truths, const struct truth *truth, truth_entry *entry,
			 size_t count);
struct truth *truth_ref(struct truth *truth);
void truth_unref(struct truths *truths, struct truth *truth);

/* Index of the atom's first entry; count: it is not true. */
uint32_t truth_find(const struct truth *truth, uint32_t atom);

/* Marks every vector that has an atom of these (a bit each) with what it becomes. */
void truths_without(struct truths *truths, const uint64_t *dropped);
void truths_settle(struct truths *truths); /* forgets the marks */

/* Replaces *at by what it became. True if it changed. */
bool truth_follow(struct truths *truths, struct truth **at);

#endif
