/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that share their beginnings: a node is its list's last element and the list before it,
 * and equal lists are the same node. So the overlay of rules (or of policies) is computed once
 * for all identities that match the same ones.
 */
#ifndef MARGAY_POLICY_CHAIN_H
#define MARGAY_POLICY_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/vec.h"

#define CHAIN_ROOT 0 /* the empty list */

#define CHAIN_CLOSED (1U << 0) /* every packet is decided: nothing behind it matters */
#define CHAIN_PASSED (1U << 1) /* every packet is decided or leaves the tier */
#define CHAIN_PASSES (1U << 2) /* some packets leave the tier: they are not decided */
#define CHAIN_FULL (CHAIN_CLOSED | CHAIN_PASSED)

struct chain_node {
	uint32_t parent;
	uint32_t next; /* in its bucket */
	uint64_t element;
	/* The owner's business: */
	const void *owner; /* of the element */
	uint64_t serial;   /* of value */
	uint32_t value;
	uint32_t mark;
	uint32_t flags; /* CHAIN_* */
};

struct chain {
	VEC(struct chain_node) node;
	uint32_t *bucket;
	uint32_t mask;
};

void chain_init(struct chain *chain);
void chain_done(struct chain *chain);

/* The list with one element more. *ret_new: it was not there before, value and flags are 0. */
uint32_t chain_child(struct chain *chain, uint32_t parent, uint64_t element, bool *ret_new);

#endif
