/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services and slices as they are told.
 */
#include "state/service.h"

#include <stdlib.h>
#include <endian.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/node.h"
#include "state/service_own.h"

#define LABEL_ZONE "topology.kubernetes.io/zone"
#define FIRST_NUMBER 1 /* a row of zeroes names no set */

struct services *services_new(const char *node)
{
	struct services *services = xcalloc(1, sizeof(*services));

	services->node = xstrdup(node);
	services->zone = xstrdup("");
	services->next = FIRST_NUMBER;
	service_plan_init(&services->plan);
	return services;
}

static void touch(struct services *services, struct proxied *service)
{
	if (service->dirty)
		return;
	service->dirty = true;
	LL_PREPEND2(services->dirty, service, next_dirty);
}

/* --- services ----------------------------------------------------------------------------- */

static struct proxied *keyed_get(struct services *services, const char *key)
{
	struct proxied *service;

	HASH_FIND_STR(services->services, key, service);
	if (service)
		return service;
	service = xcalloc(1, sizeof(*service));
	service->key = xstrdup(key);
	service->uid = xstrdup("");
	HASH_ADD_KEYPTR(hh, services->services, service->key, strlen(service->key), service);
	return service;
}

static struct proxied *proxied_get(struct services *services, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);

	return keyed_get(services, key);
}

static void facts_drop(struct services *services, struct proxied *service)
{
	claims_drop(services, service); /* they name the ports */
	pod_drop(services, service);
	for (size_t i = 0; i < service->ports.n; i++)
		free(service->ports.v[i].name);
	vec_done(&service->ports);
	vec_done(&service->addrs);
	vec_done(&service->outside);
	vec_done(&service->ranges);
	service->known = false;
}

static void outside_take(struct proxied *service, const struct service *from)
{
	for (size_t i = 0; i < from->external_ip_count; i++)
		vec_push(&service->outside, (struct outside_addr){ .addr = from->external_ips[i] });
	for (size_t i = 0; i < from->ingress_count; i++) {
		if (!from->ingress[i].proxy)
			vec_push(&service->outside,
				 (struct outside_addr){ .addr = from->ingress[i].addr,
							.balancer = true });
	}
	service->external = from->external_traffic;
	service->limits_sources = from->limits_sources;
	for (size_t i = 0; i < from->source_range_count; i++)
		vec_push(&service->ranges, from->source_ranges[i]);
}

static void facts_take(struct proxied *service, const struct service *from)
{
	free(service->uid);
	service->uid = xstrdup(from->base.uid);
	service->known = service_is_proxied(from) && !from->nat_exclude;
	service->internal = from->internal_traffic;
	service->affinity = from->client_ip_affinity ? from->affinity_timeout_s : 0;
	for (size_t i = 0; i < from->cluster_ip_count; i++)
		vec_push(&service->addrs, from->cluster_ips[i]);
	for (size_t i = 0; i < from->port_count; i++)
		vec_push(&service->ports,
			 (struct port_facts){ .name = xstrdup(from->ports[i].name),
					      .port = from->ports[i].port,
					      .node_port = from->ports[i].node_port,
					      .protocol = from->ports[i].protocol });
}

static void service_set(struct services *services, const struct service *from)
{
	struct proxied *service = proxied_get(services, from->base.ns, from->base.name);

	facts_drop(services, service);
	facts_take(service, from);
	outside_take(service, from);
	touch(services, service);
}

static void service_del(struct services *services, const char *ns, const char *name)
{
	struct proxied *service = proxied_get(services, ns, name);

	facts_drop(services, service);
	touch(services, service);
}

void services_ports_set(struct services *services, const struct host_ports *ports)
{
	struct proxied *pod = keyed_get(services, ports->key);

	facts_drop(services, pod);
	pod_take(services, pod, ports);
	touch(services, pod);
}

void services_ports_del(struct services *services, const char *key)
{
	struct proxied *pod;

	HASH_FIND_STR(services->services, key, pod);
	if (!pod)
		return;
	facts_drop(services, pod);
	touch(services, pod);
}

static void proxied_free(struct services *services, struct proxied *service)
{
	facts_drop(services, service);
	HASH_DEL(services->services, service);
	vec_done(&service->sets);
	vec_done(&service->claims);
	free(service->uid);
	free(service->key);
	free(service);
}

/* --- slices ------------------------------------------------------------------------------- */

static bool has_text(const char **list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i], text))
			return true;
	}
	return false;
}

static uint8_t endpoint_flags(const struct services *services, const struct slice_endpoint *from)
{
	uint8_t flags = 0;

	if (from->ready)
		flags |= ENDPOINT_READY;
	if (from->serving)
		flags |= ENDPOINT_SERVING;
	if (from->terminating)
		flags |= ENDPOINT_TERMINATING;
	if (!strcmp(from->node, services->node))
		flags |= ENDPOINT_LOCAL;
	if (from->zone_hint_count)
		flags |= ENDPOINT_ZONES;
	if (*services->zone && has_text(from->zone_hints, from->zone_hint_count, services->zone))
		flags |= ENDPOINT_ZONE;
	if (from->node_hint_count)
		flags |= ENDPOINT_NODES;
	if (has_text(from->node_hints, from->node_hint_count, services->node))
		flags |= ENDPOINT_NODE;
	return flags;
}

static void slice_drop(struct services *services, struct slice_facts *slice)
{
	for (size_t i = 0; i < slice->ports.n; i++)
		free((char *)(uintptr_t)slice->ports.v[i].name);
	vec_done(&slice->ports);
	vec_done(&slice->endpoints);
	object_unref(slice->hinted);
	slice->hinted = NULL;
	if (slice->service) {
		DL_DELETE(slice->service->slices, slice);
		touch(services, slice->service);
	}
	slice->service = NULL;
}

static void slice_take(struct services *services, struct slice_facts *slice,
		       const struct endpoint_slice *from)
{
	bool hinted = false;

	slice->is6 = from->is6;
	for (size_t i = 0; i < from->port_count; i++)
		vec_push(&slice->ports, (struct slice_port){ .name = xstrdup(from->ports[i].name),
							     .protocol = from->ports[i].protocol,
							     .port = from->ports[i].port });
	for (size_t i = 0; i < from->endpoint_count; i++) {
		const struct slice_endpoint *endpoint = &from->endpoints[i];

		hinted |= endpoint->zone_hint_count > 0;
		vec_push(&slice->endpoints,
			 (struct endpoint_facts){ .addr = endpoint->addrs[0],
						  .flags = endpoint_flags(services, endpoint) });
	}
	if (hinted)
		slice->hinted = object_ref(&from->base);
	slice->service = proxied_get(services, from->base.ns, from->service);
	DL_APPEND(slice->service->slices, slice);
	touch(services, slice->service);
}

static struct slice_facts *slice_find(const struct services *services, const char *ns,
				      const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct slice_facts *slice;

	HASH_FIND_STR(services->slices, key, slice);
	return slice;
}

static void slice_free(struct services *services, struct slice_facts *slice)
{
	slice_drop(services, slice);
	HASH_DEL(services->slices, slice);
	free(slice->key);
	free(slice);
}

static void backing_set(struct services *services, const struct endpoint_slice *from)
{
	struct slice_facts *slice = slice_find(services, from->base.ns, from->base.name);

	if (from->fqdn || !*from->service || !endpoint_slice_is_proxied(from)) {
		if (slice)
			slice_free(services, slice);
		return;
	}
	if (!slice) {
		slice = xcalloc(1, sizeof(*slice));
		slice->key = xasprintf("%s/%s", from->base.ns, from->base.name);
		HASH_ADD_KEYPTR(hh, services->slices, slice->key, strlen(slice->key), slice);
	}
	slice_drop(services, slice);
	slice_take(services, slice, from);
}

/* This node moved to another zone: hints speak of it anew. */
static void node_set(struct services *services, const struct object *node)
{
	const char *zone = labels_get(&node->labels, LABEL_ZONE);
	struct slice_facts *slice, *next;

	if (strcmp(node->name, services->node) != 0 || !strcmp(zone ? zone : "", services->zone))
		return;
	free(services->zone);
	services->zone = xstrdup(zone ? zone : "");
	HASH_ITER(hh, services->slices, slice, next) {
		_cleanup_object_ struct object *object = NULL;

		if (!slice->hinted)
			continue;
		object = object_ref(slice->hinted);
		slice_drop(services, slice);
		slice_take(services, slice, endpoint_slice_of(object));
	}
}

void services_set(struct services *services, const struct object *object)
{
	if (object->kind == KIND_SERVICE)
		service_set(services, service_of(object));
	else if (object->kind == KIND_ENDPOINT_SLICE)
		backing_set(services, endpoint_slice_of(object));
	else if (object->kind == KIND_NODE)
		node_set(services, object);
}

void services_refuse_external_ips(struct services *services, bool refuse)
{
	struct proxied *service, *next;

	if (services->refuse_external_ips == refuse)
		return;
	services->refuse_external_ips = refuse;
	HASH_ITER(hh, services->services, service, next) {
		if (service->outside.n)
			touch(services, service);
	}
}

void services_del(struct services *services, enum kind kind, const char *ns, const char *name)
{
	struct slice_facts *slice;

	if (kind == KIND_SERVICE)
		service_del(services, ns, name);
	if (kind != KIND_ENDPOINT_SLICE)
		return;
	slice = slice_find(services, ns, name);
	if (slice)
		slice_free(services, slice);
}

/* --- rows --------------------------------------------------------------------------------- */

const struct service_plan *services_build(struct services *services)
{
	struct proxied *service, *next;

	LL_FOREACH_SAFE2(services->dirty, service, next, next_dirty)
	{
		service->dirty = false;
		service_write(services, service);
		if (!service->known && !service->slices)
			proxied_free(services, service);
	}
	services->dirty = NULL;
	if (!services->swept) {
		back_sets_sweep(services);
		fronts_sweep(services);
	}
	services->swept = true;
	fronts_write(services);
	return service_plan_is_empty(&services->plan) ? NULL : &services->plan;
}

void services_applied(struct services *services)
{
	service_plan_clear(&services->plan);
	services->build++;
}

void services_forget(struct services *services)
{
	struct proxied *service, *next;

	service_plan_clear(&services->plan);
	back_sets_forget(services);
	fronts_forget(services);
	HASH_ITER(hh, services->services, service, next)
		touch(services, service);
	services->known = false;
}

bool services_known(const struct services *services)
{
	return services->known;
}

uint64_t services_builds(const struct services *services)
{
	return services->build;
}

void services_grace_done(struct services *services, uint64_t build)
{
	size_t kept = 0;

	for (size_t i = 0; i < services->retired.n; i++) {
		if (services->retired.v[i].build <= build)
			vec_push(&services->free, services->retired.v[i].number);
		else
			services->retired.v[kept++] = services->retired.v[i];
	}
	services->retired.n = kept;
}

void services_free(struct services *services)
{
	struct slice_facts *slice, *next_slice;
	struct proxied *service, *next;

	if (!services)
		return;
	HASH_ITER(hh, services->slices, slice, next_slice)
		slice_free(services, slice);
	HASH_ITER(hh, services->services, service, next)
		proxied_free(services, service);
	fronts_free(services);
	back_sets_free(services);
	service_plan_done(&services->plan);
	vec_done(&services->strays);
	vec_done(&services->stray_ranges);
	vec_done(&services->retired);
	vec_done(&services->free);
	free(services->node);
	free(services->zone);
	free(services);
}
