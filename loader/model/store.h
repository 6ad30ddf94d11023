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

struct objects;

struct objects *objects_new(void);
void objects_free(struct objects *objects); /* accepts NULL */
DEFINE_CLEANUP(struct objects *, objects_free)
#define _cleanup_objects_ _cleanup_(objects_free_p)

/* Inserts or replaces; takes a reference of its own. */
void objects_put(struct objects *objects, const struct object *object);

/* -ENOENT: there is none. */
int objects_delete(struct objects *objects, enum kind kind, const char *ns, const char *name);

/* NULL: there is none. ns is "" for kinds without a namespace. */
const struct object *objects_get(const struct objects *objects, enum kind kind, const char *ns,
				 const char *name);

size_t objects_count(const struct objects *objects, enum kind kind);

/* Places in an index; for (o = objects_first(&it, ...); o; o = objects_next(&it)). */
struct objects_iter {
	const struct objects_index *index;
	size_t chunk;
	size_t at;
	const char *bound; /* namespace or node the iteration stays in; NULL: all */
	enum kind kind;
	bool by_node;
};

/* All of a kind, by namespace and name. */
const struct object *objects_first(struct objects_iter *it, const struct objects *objects,
				   enum kind kind);

/* All of a kind in a namespace, by name. */
const struct object *objects_first_in(struct objects_iter *it, const struct objects *objects,
				      enum kind kind, const char *ns);

/* Pods or workload endpoints (kind) of a node, by namespace and name. */
const struct object *objects_first_on(struct objects_iter *it, const struct objects *objects,
				      enum kind kind, const char *node);

const struct object *objects_next(struct objects_iter *it);

/* Who has an address: pods that are neither done nor host-network, and workload endpoints, in
 * order of kind, namespace, name. Writes at most max; the result is the count of all. */
size_t objects_at(const struct objects *objects, const union mg_addr *addr,
		  const struct object **ret_objects, size_t max);

/* Kinds changed since the last call, bit 1 << kind; the marks are cleared. A put of an object
 * whose content is the same marks nothing where the versions are equal and not "". */
uint64_t objects_take_dirty(struct objects *objects);

/* Called after each change; old or new is NULL for an insert or a delete, both are valid during
 * the call. One listener; NULL: none. The listener must not change the store. */
typedef void (*objects_listener)(void *ctx, const struct object *old_object,
				 const struct object *new_object);
void objects_listen(struct objects *objects, objects_listener listener, void *ctx);

/* Bytes of all objects and indexes. */
size_t objects_bytes(const struct objects *objects);

#endif
