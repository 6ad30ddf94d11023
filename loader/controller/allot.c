/* SPDX-License-Identifier: Apache-2.0 */
/* Which Services lack what, and what is in use. */
#include "controller/allot.h"

#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "controller/allot_own.h"

/* --- in use --------------------------------------------------------------------------------- */

static void use_addr(struct allot *allot, const union mg_addr *addr, int by)
{
	struct used_addr *used;

	HASH_FIND(hh, allot->addrs, addr, sizeof(*addr), used);
	if (!used) {
		used = xcalloc(1, sizeof(*used));
		used->addr = *addr;
		HASH_ADD(hh, allot->addrs, addr, sizeof(used->addr), used);
	}
	used->count += by;
	if (used->count)
		return;
	HASH_DEL(allot->addrs, used);
	free(used);
}

static void use_port(struct allot *allot, uint16_t port, int by)
{
	if (port)
		allot->ports[port] = (uint16_t)(allot->ports[port] + by);
}

static void use(struct allot *allot, const struct service *service, int by)
{
	for (size_t i = 0; i < service->cluster_ip_count; i++)
		use_addr(allot, &service->cluster_ips[i], by);
	for (size_t i = 0; i < service->port_count; i++)
		use_port(allot, service->ports[i].node_port, by);
	use_port(allot, service->health_check_node_port, by);
	for (size_t i = 0; i < service->ingress_count; i++)
		use_addr(allot, &service->ingress[i].addr, by);
}

bool allot_addr_is_used(const struct allot *allot, const union mg_addr *addr)
{
	const struct used_addr *used;

	HASH_FIND(hh, allot->addrs, addr, sizeof(*addr), used);
	return used;
}

/* --- services ------------------------------------------------------------------------------- */

static void stop_waiting(struct allot *allot, struct allotted *entry)
{
	if (entry->waits)
		DL_DELETE(allot->waiting, entry);
	entry->waits = false;
}

static void wait_if_needed(struct allot *allot, struct allotted *entry)
{
	if (entry->waits || !allot_lacks(allot, service_of(entry->object)))
		return;
	entry->waits = true;
	DL_APPEND(allot->waiting, entry);
}

static struct allotted *find(const struct allot *allot, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct allotted *entry;

	HASH_FIND_STR(allot->services, key, entry);
	return entry;
}

static void service_del(struct allot *allot, struct allotted *entry)
{
	stop_waiting(allot, entry);
	use(allot, service_of(entry->object), -1);
	HASH_DEL(allot->services, entry);
	object_unref(entry->object);
	free(entry->key);
	free(entry);
}

static void service_set(struct allot *allot, const struct object *object)
{
	struct allotted *former = find(allot, object->ns, object->name);
	struct allotted *entry = xcalloc(1, sizeof(*entry));

	entry->object = object_ref(object);
	if (former)
		service_del(allot, former);
	entry->key = xasprintf("%s/%s", object->ns, object->name);
	HASH_ADD_KEYPTR(hh, allot->services, entry->key, strlen(entry->key), entry);
	use(allot, service_of(object), 1);
	wait_if_needed(allot, entry);
}

/* --- ranges --------------------------------------------------------------------------------- */

static int range_order(const struct range *a, const struct range *b)
{
	return strcmp(a->object->name, b->object->name);
}

static void all_again(struct allot *allot)
{
	for (struct allotted *entry = allot->services; entry; entry = entry->hh.next)
		wait_if_needed(allot, entry);
}

/* Who found no room may find some now. */
static void room_again(struct allot *allot)
{
	if (!allot->starved)
		return;
	allot->starved = false;
	all_again(allot);
}

static void range_del(struct range **list, const char *name)
{
	struct range *range = *list;

	while (range && strcmp(range->object->name, name))
		range = range->next;
	if (!range)
		return;
	DL_DELETE(*list, range);
	object_unref(range->object);
	free(range);
}

static void range_set(struct range **list, const struct object *object)
{
	struct range *range = xcalloc(1, sizeof(*range));

	range->object = object_ref(object);
	range_del(list, object->name);
	DL_INSERT_INORDER(*list, range, range_order);
}

/* Pools of pods and tunnels have no address for a Service. */
static void pool_set(struct allot *allot, const struct object *object)
{
	if (ip_pool_of(object)->uses & POOL_USE_LOAD_BALANCER)
		range_set(&allot->pools, object);
	else
		range_del(&allot->pools, object->name);
}

static void space_del(struct allot *allot, const char *name)
{
	struct spacename *space;

	HASH_FIND_STR(allot->spaces, name, space);
	if (!space)
		return;
	HASH_DEL(allot->spaces, space);
	object_unref(space->object);
	free(space->name);
	free(space);
}

static void space_set(struct allot *allot, const struct object *object)
{
	struct spacename *space = xcalloc(1, sizeof(*space));

	space->object = object_ref(object);
	space_del(allot, object->name);
	space->name = xstrdup(object->name);
	HASH_ADD_KEYPTR(hh, allot->spaces, space->name, strlen(space->name), space);
}

/* --- what the owner calls ------------------------------------------------------------------- */

void allot_set(struct allot *allot, const struct object *object)
{
	if (object->kind == KIND_SERVICE) {
		service_set(allot, object);
		return;
	}
	if (object->kind == KIND_SERVICE_CIDR)
		range_set(&allot->ranges, object);
	else if (object->kind == KIND_IP_POOL)
		pool_set(allot, object);
	else if (object->kind == KIND_NAMESPACE)
		space_set(allot, object);
	else
		return;
	all_again(allot);
}

void allot_del(struct allot *allot, enum kind kind, const char *ns, const char *name)
{
	struct allotted *entry = kind == KIND_SERVICE ? find(allot, ns, name) : NULL;

	if (entry) {
		service_del(allot, entry);
		room_again(allot);
	} else if (kind == KIND_SERVICE_CIDR) {
		range_del(&allot->ranges, name);
		all_again(allot);
	} else if (kind == KIND_IP_POOL) {
		range_del(&allot->pools, name);
		all_again(allot);
	} else if (kind == KIND_NAMESPACE) {
		space_del(allot, name);
	}
}

const struct object *allot_next(struct allot *allot)
{
	struct allotted *entry = allot->waiting;

	if (!entry)
		return NULL;
	stop_waiting(allot, entry);
	return entry->object;
}

void allot_again(struct allot *allot, const char *service)
{
	struct allotted *entry;

	HASH_FIND_STR(allot->services, service, entry);
	if (entry)
		wait_if_needed(allot, entry);
}

struct allot *allot_new(void)
{
	return xcalloc(1, sizeof(struct allot));
}

void allot_free(struct allot *allot)
{
	if (!allot)
		return;
	while (allot->services)
		service_del(allot, allot->services);
	while (allot->ranges)
		range_del(&allot->ranges, allot->ranges->object->name);
	while (allot->pools)
		range_del(&allot->pools, allot->pools->object->name);
	while (allot->spaces)
		space_del(allot, allot->spaces->name);
	free(allot);
}
