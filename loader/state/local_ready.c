/* SPDX-License-Identifier: Apache-2.0 */
#include "state/local_ready.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/slice.h"

/* A slice that has ready endpoints here. */
struct part {
	char *key;     /* "namespace/name" */
	char *service; /* "namespace/name" */
	union mg_addr *addrs;
	size_t count;
	UT_hash_handle hh;
};

struct asked {
	char *key; /* "namespace/name" */
	char *ns;
	char *name;
	uint16_t port;
	UT_hash_handle hh;
};

struct local_ready {
	char *node;
	struct part *parts;
	struct asked *services;
};

static char *key_of(const char *ns, const char *name)
{
	return xasprintf("%s/%s", ns, name);
}

/* --- slices --------------------------------------------------------------------------------- */

static void part_del(struct local_ready *ready, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	struct part *part;

	HASH_FIND_STR(ready->parts, key, part);
	if (!part)
		return;
	HASH_DEL(ready->parts, part);
	free(part->key);
	free(part->service);
	free(part->addrs);
	free(part);
}

static bool counts(const struct local_ready *ready, const struct slice_endpoint *endpoint)
{
	return endpoint->ready && !strcmp(endpoint->node, ready->node);
}

static void part_set(struct local_ready *ready, const struct endpoint_slice *slice)
{
	struct part *part;
	size_t count = 0;

	part_del(ready, slice->base.ns, slice->base.name);
	for (size_t i = 0; i < slice->endpoint_count; i++)
		count += counts(ready, &slice->endpoints[i]);
	if (!count || !slice->port_count || !endpoint_slice_is_proxied(slice))
		return;
	part = xcalloc(1, sizeof(*part));
	part->key = key_of(slice->base.ns, slice->base.name);
	part->service = key_of(slice->base.ns, slice->service);
	part->addrs = xcalloc(count, sizeof(*part->addrs));
	for (size_t i = 0; i < slice->endpoint_count; i++)
		if (counts(ready, &slice->endpoints[i]))
			part->addrs[part->count++] = slice->endpoints[i].addrs[0];
	HASH_ADD_KEYPTR(hh, ready->parts, part->key, strlen(part->key), part);
}

/* --- services ------------------------------------------------------------------------------- */

static bool asked_del(struct local_ready *ready, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	struct asked *asked;

	HASH_FIND_STR(ready->services, key, asked);
	if (!asked)
		return false;
	HASH_DEL(ready->services, asked);
	free(asked->key);
	free(asked->ns);
	free(asked->name);
	free(asked);
	return true;
}

static bool asked_set(struct local_ready *ready, const struct service *service)
{
	const bool was = asked_del(ready, service->base.ns, service->base.name);
	struct asked *asked;

	if (!service->health_check_node_port || !service_is_proxied(service))
		return was;
	asked = xcalloc(1, sizeof(*asked));
	asked->key = key_of(service->base.ns, service->base.name);
	asked->ns = xstrdup(service->base.ns);
	asked->name = xstrdup(service->base.name);
	asked->port = service->health_check_node_port;
	HASH_ADD_KEYPTR(hh, ready->services, asked->key, strlen(asked->key), asked);
	return true;
}

/* --- counting ------------------------------------------------------------------------------- */

static int addr_order(const void *a, const void *b)
{
	return addr_cmp(a, b);
}

static size_t count_of(const struct local_ready *ready, const char *service)
{
	union mg_addr *addrs = NULL;
	size_t count = 0, different = 0;

	for (const struct part *part = ready->parts; part; part = part->hh.next) {
		if (strcmp(part->service, service))
			continue;
		addrs = xrealloc(addrs, count + part->count, sizeof(*addrs));
		memcpy(addrs + count, part->addrs, part->count * sizeof(*addrs));
		count += part->count;
	}
	if (count)
		qsort(addrs, count, sizeof(*addrs), addr_order);
	for (size_t i = 0; i < count; i++)
		different += !i || addr_cmp(&addrs[i - 1], &addrs[i]);
	free(addrs);
	return different;
}

static struct local_ready_service told(const struct local_ready *ready, const struct asked *asked)
{
	return (struct local_ready_service){ .ns = asked->ns,
					     .name = asked->name,
					     .port = asked->port,
					     .count = count_of(ready, asked->key) };
}

static int asked_order(const struct asked *a, const struct asked *b)
{
	return strcmp(a->key, b->key);
}

void local_ready_each(const struct local_ready *ready,
		      void (*fn)(void *arg, const struct local_ready_service *service), void *arg)
{
	for (const struct asked *asked = ready->services; asked; asked = asked->hh.next) {
		const struct local_ready_service service = told(ready, asked);

		fn(arg, &service);
	}
}

bool local_ready_get(const struct local_ready *ready, const char *ns, const char *name,
		     struct local_ready_service *ret_service)
{
	_cleanup_free_ char *key = key_of(ns, name);
	const struct asked *asked;

	HASH_FIND_STR(ready->services, key, asked);
	if (asked)
		*ret_service = told(ready, asked);
	return asked;
}

/* --- what the owner calls ------------------------------------------------------------------- */

bool local_ready_set(struct local_ready *ready, const struct object *object)
{
	bool changed = false;

	if (object->kind == KIND_ENDPOINT_SLICE) {
		part_set(ready, endpoint_slice_of(object));
	} else if (object->kind == KIND_SERVICE) {
		changed = asked_set(ready, service_of(object));
		HASH_SORT(ready->services, asked_order);
	}
	return changed;
}

bool local_ready_del(struct local_ready *ready, enum kind kind, const char *ns, const char *name)
{
	if (kind == KIND_ENDPOINT_SLICE)
		part_del(ready, ns, name);
	return kind == KIND_SERVICE && asked_del(ready, ns, name);
}

struct local_ready *local_ready_new(const char *node)
{
	struct local_ready *ready = xcalloc(1, sizeof(*ready));

	ready->node = xstrdup(node);
	return ready;
}

void local_ready_free(struct local_ready *ready)
{
	struct part *part, *next;
	struct asked *asked, *after;

	if (!ready)
		return;
	HASH_ITER(hh, ready->parts, part, next) {
		HASH_DEL(ready->parts, part);
		free(part->key);
		free(part->service);
		free(part->addrs);
		free(part);
	}
	HASH_ITER(hh, ready->services, asked, after)
		asked_del(ready, asked->ns, asked->name);
	free(ready->node);
	free(ready);
}
