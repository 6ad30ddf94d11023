/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's objects in memory: by kind, namespace and name, with the indexes that policy and
 * state need. The store keeps one reference of each object. Pointers it gives stay right until
 * the object is replaced or deleted; iteration ends at the first change. One thread.
 */
#ifndef MARGAY_MODEL_STORE_H
#define MARGAY_MODEL_STORE_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

struct store;

struct store *store_new(void);
void store_free(struct store *store); /* accepts NULL */
DEFINE_CLEANUP(struct store *, store_free)
#define _cleanup_store_ _cleanup_(store_free_p)

/* Inserts or replaces; takes a reference of its own. */
void store_put(struct store *store, const struct object *object);

/* -ENOENT: there is none. */
int store_delete(struct store *store, enum kind kind, const char *ns, const char *name);

/* NULL: there is none. ns is "" for kinds without a namespace. */
const struct object *store_get(const struct store *store, enum kind kind, const char *ns,
			       const char *name);

size_t store_count(const struct store *store, enum kind kind);

/* Places in an index; for (o = store_first(&it, ...); o; o = store_next(&it)). */
struct store_iter {
	const struct store_index *index;
	size_t chunk;
	size_t at;
	const char *bound; /* namespace or node the iteration stays in; NULL: all */
	enum kind kind;
	bool by_node;
};

/* All of a kind, by namespace and name. */
const struct object *store_first(struct store_iter *it, const struct store *store, enum kind kind);

/* All of a kind in a namespace, by name. */
const struct object *store_first_in(struct store_iter *it, const struct store *store,
				    enum kind kind, const char *ns);

/* Pods or workload endpoints (kind) of a node, by namespace and name. */
const struct object *store_first_on(struct store_iter *it, const struct store *store,
				    enum kind kind, const char *node);

const struct object *store_next(struct store_iter *it);

/* Who has an address: pods that are neither done nor host-network, and workload endpoints, in
 * order of kind, namespace, name. Writes at most max; the result is the count of all. */
size_t store_at(const struct store *store, const union mg_addr *addr,
		const struct object **ret_objects, size_t max);

/* Kinds changed since the last call, bit 1 << kind; the marks are cleared. A put of an object
 * whose content is the same marks nothing where the versions are equal and not "". */
uint64_t store_take_dirty(struct store *store);

/* Called after each change; old or new is NULL for an insert or a delete, both are valid during
 * the call. One listener; NULL: none. The listener must not change the store. */
typedef void (*store_listener)(void *ctx, const struct object *old_object,
			       const struct object *new_object);
void store_listen(struct store *store, store_listener listener, void *ctx);

/* Bytes of all objects and indexes. */
size_t store_bytes(const struct store *store);

#endif
