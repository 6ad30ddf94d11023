/* SPDX-License-Identifier: Apache-2.0 */
#include "model/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/arena.h"
#include "model/index.h"
#include "model/pod.h"
#include "model/workload.h"

/* Who has an address; nearly always one. */
struct holders {
	union mg_addr addr;
	size_t count;
	const struct object **v; /* by object_cmp */
	UT_hash_handle hh;
};

struct objects {
	struct objects_index by_name[KIND_MAX];
	struct objects_index pods_by_node;
	struct objects_index workloads_by_node;
	struct holders *by_addr;
	size_t addr_count;
	uint64_t dirty;
	size_t bytes; /* of the objects */
	objects_listener listener;
	void *listener_ctx;
};

_Static_assert(KIND_MAX <= 64, "objects.dirty");

/* --- addresses ------------------------------------------------------------------------------ */

/* The addresses under which an object is found. */
static size_t addrs_of(const struct object *object, const union mg_addr **ret_addrs)
{
	const struct workload_endpoint *workload = workload_endpoint_of(object);
	const struct pod *pod = pod_of(object);

	if (pod && !pod->host_network && !pod_is_done(pod)) {
		*ret_addrs = pod->ips;
		return pod->ip_count;
	}
	*ret_addrs = workload ? workload->ips : NULL;
	return workload ? workload->ip_count : 0;
}

static size_t holder_place(const struct holders *holders, const struct object *object)
{
	size_t at = 0;

	while (at < holders->count && object_cmp(holders->v[at], object) < 0)
		at++;
	return at;
}

static struct holders *holders_of(const struct objects *objects, const union mg_addr *addr)
{
	struct holders *holders;

	HASH_FIND(hh, objects->by_addr, addr, sizeof(*addr), holders);
	return holders;
}

static void add_holder(struct objects *objects, const union mg_addr *addr,
		       const struct object *object)
{
	struct holders *holders = holders_of(objects, addr);
	size_t at;

	if (!holders) {
		holders = xcalloc(1, sizeof(*holders));
		holders->addr = *addr;
		HASH_ADD(hh, objects->by_addr, addr, sizeof(holders->addr), holders);
	}
	at = holder_place(holders, object);
	if (at < holders->count && holders->v[at] == object)
		return; /* the address is listed twice */
	holders->v = xrealloc(holders->v, holders->count + 1, sizeof(*holders->v));
	memmove(holders->v + at + 1, holders->v + at, (holders->count - at) * sizeof(*holders->v));
	holders->v[at] = object;
	holders->count++;
	objects->addr_count++;
}

static void drop_holder(struct objects *objects, const union mg_addr *addr,
			const struct object *object)
{
	struct holders *holders = holders_of(objects, addr);
	size_t at = holders ? holder_place(holders, object) : 0;

	if (!holders || at == holders->count || holders->v[at] != object)
		return;
	holders->count--;
	objects->addr_count--;
	memmove(holders->v + at, holders->v + at + 1, (holders->count - at) * sizeof(*holders->v));
	if (holders->count)
		return;
	HASH_DEL(objects->by_addr, holders);
	free(holders->v);
	free(holders);
}

size_t objects_at(const struct objects *objects, const union mg_addr *addr,
		  const struct object **ret_objects, size_t max)
{
	const struct holders *holders = holders_of(objects, addr);

	if (!holders)
		return 0;
	for (size_t i = 0; i < holders->count && i < max; i++)
		ret_objects[i] = holders->v[i];
	return holders->count;
}

/* --- nodes ---------------------------------------------------------------------------------- */

static const char *node_name_of(const struct object *object)
{
	if (object->kind == KIND_POD)
		return ((const struct pod *)object)->node;
	return ((const struct workload_endpoint *)object)->node;
}

static int cmp_by_node(const struct object *a, const struct object *b)
{
	int order = strcmp(node_name_of(a), node_name_of(b));

	return order ? order : object_cmp(a, b);
}

static struct objects_index *node_index(struct objects *objects, enum kind kind)
{
	if (kind == KIND_POD)
		return &objects->pods_by_node;
	return kind == KIND_WORKLOAD_ENDPOINT ? &objects->workloads_by_node : NULL;
}

/* --- changes -------------------------------------------------------------------------------- */

static void link_in(struct objects *objects, const struct object *object)
{
	struct objects_index *by_node = node_index(objects, object->kind);
	const union mg_addr *addrs;
	size_t count = addrs_of(object, &addrs);

	index_put(&objects->by_name[object->kind], object);
	if (by_node && *node_name_of(object))
		index_put(by_node, object);
	for (size_t i = 0; i < count; i++)
		add_holder(objects, &addrs[i], object);
	objects->bytes += arena_bytes(object->arena);
}

static void take_out(struct objects *objects, const struct object *object)
{
	struct objects_index *by_node = node_index(objects, object->kind);
	const union mg_addr *addrs;
	size_t count = addrs_of(object, &addrs);

	index_drop(&objects->by_name[object->kind], object);
	if (by_node && *node_name_of(object))
		index_drop(by_node, object);
	for (size_t i = 0; i < count; i++)
		drop_holder(objects, &addrs[i], object);
	objects->bytes -= arena_bytes(object->arena);
}

static void tell(struct objects *objects, const struct object *old_object,
		 const struct object *new_object)
{
	const struct object *either = new_object ? new_object : old_object;

	objects->dirty |= 1ULL << either->kind;
	if (objects->listener)
		objects->listener(objects->listener_ctx, old_object, new_object);
}

static void drop_ref(const struct object *object)
{
	object_unref((struct object *)(uintptr_t)object);
}

void objects_put(struct objects *objects, const struct object *object)
{
	const struct object *old = index_find(&objects->by_name[object->kind], object);

	if (old == object || (old && *old->version && !strcmp(old->version, object->version)))
		return;
	if (old)
		take_out(objects, old);
	link_in(objects, object_ref(object));
	tell(objects, old, object);
	if (old)
		drop_ref(old);
}

int objects_delete(struct objects *objects, enum kind kind, const char *ns, const char *name)
{
	const struct object *old = objects_get(objects, kind, ns, name);

	if (!old)
		return -ENOENT;
	take_out(objects, old);
	tell(objects, old, NULL);
	drop_ref(old);
	return 0;
}

/* --- reading -------------------------------------------------------------------------------- */

const struct object *objects_get(const struct objects *objects, enum kind kind, const char *ns,
				 const char *name)
{
	const struct object probe = { .kind = kind, .ns = ns, .name = name };

	return index_find(&objects->by_name[kind], &probe);
}

size_t objects_count(const struct objects *objects, enum kind kind)
{
	return objects->by_name[kind].count;
}

const struct object *objects_next(struct objects_iter *it)
{
	struct index_place place = { .chunk = it->chunk, .at = it->at };
	const struct object *object = it->index ? index_take(it->index, &place) : NULL;

	it->chunk = place.chunk;
	it->at = place.at;
	if (object && it->bound &&
	    strcmp(it->by_node ? node_name_of(object) : object->ns, it->bound))
		object = NULL;
	if (!object)
		it->index = NULL; /* stays at the end */
	return object;
}

static const struct object *begin(struct objects_iter *it, const struct objects_index *index,
				  const struct object *probe)
{
	struct index_place place = index_seek(index, probe);

	it->index = index;
	it->chunk = place.chunk;
	it->at = place.at;
	return objects_next(it);
}

const struct object *objects_first(struct objects_iter *it, const struct objects *objects,
				   enum kind kind)
{
	const struct object probe = { .kind = kind, .ns = "", .name = "" };

	*it = (struct objects_iter){ .kind = kind };
	return begin(it, &objects->by_name[kind], &probe);
}

const struct object *objects_first_in(struct objects_iter *it, const struct objects *objects,
				      enum kind kind, const char *ns)
{
	const struct object probe = { .kind = kind, .ns = ns, .name = "" };

	*it = (struct objects_iter){ .kind = kind, .bound = ns };
	return begin(it, &objects->by_name[kind], &probe);
}

const struct object *objects_first_on(struct objects_iter *it, const struct objects *objects,
				      enum kind kind, const char *node)
{
	const struct object base = { .kind = kind, .ns = "", .name = "" };
	const struct pod pod = { .base = base, .node = node };
	const struct workload_endpoint workload = { .base = base, .node = node };

	*it = (struct objects_iter){ .kind = kind, .bound = node, .by_node = true };
	if (kind == KIND_POD)
		return begin(it, &objects->pods_by_node, &pod.base);
	if (kind == KIND_WORKLOAD_ENDPOINT)
		return begin(it, &objects->workloads_by_node, &workload.base);
	return NULL;
}

uint64_t objects_take_dirty(struct objects *objects)
{
	uint64_t dirty = objects->dirty;

	objects->dirty = 0;
	return dirty;
}

void objects_listen(struct objects *objects, objects_listener listener, void *ctx)
{
	objects->listener = listener;
	objects->listener_ctx = ctx;
}

size_t objects_bytes(const struct objects *objects)
{
	size_t sum = sizeof(*objects) + objects->bytes;

	for (int k = 0; k < KIND_MAX; k++)
		sum += index_bytes(&objects->by_name[k]);
	sum += index_bytes(&objects->pods_by_node) + index_bytes(&objects->workloads_by_node);
	sum += HASH_COUNT(objects->by_addr) * sizeof(struct holders);
	return sum + objects->addr_count * sizeof(struct object *) +
	       HASH_OVERHEAD(hh, objects->by_addr);
}

/* --- life ----------------------------------------------------------------------------------- */

struct objects *objects_new(void)
{
	struct objects *objects = xcalloc(1, sizeof(*objects));

	for (int k = 0; k < KIND_MAX; k++)
		objects->by_name[k].cmp = object_cmp;
	objects->pods_by_node.cmp = cmp_by_node;
	objects->workloads_by_node.cmp = cmp_by_node;
	return objects;
}

void objects_free(struct objects *objects)
{
	struct holders *holders, *next;

	if (!objects)
		return;
	HASH_ITER(hh, objects->by_addr, holders, next) {
		HASH_DEL(objects->by_addr, holders);
		free(holders->v);
		free(holders);
	}
	for (int k = 0; k < KIND_MAX; k++) {
		struct index_place place = { 0 };
		const struct object *object;

		while ((object = index_take(&objects->by_name[k], &place)))
			drop_ref(object);
		index_done(&objects->by_name[k]);
	}
	index_done(&objects->pods_by_node);
	index_done(&objects->workloads_by_node);
	free(objects);
}
