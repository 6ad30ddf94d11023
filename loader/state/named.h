/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state/ keeps by an object's "namespace/name" (of the cluster's: "/name"): an index of
 * things that begin with a struct named. The things and their keys are their owners'.
 */
#ifndef MARGAY_STATE_NAMED_H
#define MARGAY_STATE_NAMED_H

#include <stddef.h>

#include "base/index.h"

struct named {
	const char *key;
};

uint32_t named_hash(const void *context, uintptr_t word); /* of such an index */
struct named *named_find(const struct index *index, const char *ns, const char *name);
struct named *named_find_key(const struct index *index, const char *key);

static inline void named_add(struct index *index, struct named *named)
{
	index_add(index, (uintptr_t)named);
}

static inline void named_del(struct index *index, struct named *named)
{
	index_del(index, (uintptr_t)named);
}

#endif
