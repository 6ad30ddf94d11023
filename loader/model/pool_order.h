/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several IPPools are in force: no two that overlap. The older one stands (by
 * creationTimestamp, then by name), as Calico's condition CIDROverlap says; a pool that does not
 * stand keeps no other one out.
 */
#ifndef MARGAY_MODEL_POOL_ORDER_H
#define MARGAY_MODEL_POOL_ORDER_H

#include <stddef.h>

#include "abi/addr.h"

struct pool_place {
	const struct mg_prefix *cidr;
	const char *created; /* RFC 3339 in UTC, as Kubernetes writes it; "": before all others */
	const char *name;
	const struct pool_place *behind; /* result: the one that keeps it out; NULL: in force */
};

/* Sorts the places, in force and not, by age. */
void pool_places_settle(struct pool_place *places, size_t count);

#endif
