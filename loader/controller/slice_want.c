/* SPDX-License-Identifier: Apache-2.0 */
/* What the endpoints of a Service should be, by its selector and the state of the pods. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "controller/slicer_own.h"

/* --- comparing ------------------------------------------------------------------------------ */

/* Who it is: pods of the host's network share addresses. */
int endpoint_cmp(const struct slice_endpoint *a, const struct slice_endpoint *b)
{
	int order = addr_cmp(a->addrs, b->addrs);

	return order ? order : strcmp(a->pod, b->pod);
}

static bool texts_equal(const char **a, size_t a_count, const char **b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]))
			return false;
	return true;
}

bool endpoint_equal(const struct slice_endpoint *a, const struct slice_endpoint *b)
{
	return !endpoint_cmp(a, b) && a->addr_count == b->addr_count && a->ready == b->ready &&
	       a->serving == b->serving && a->terminating == b->terminating &&
	       !strcmp(a->node, b->node) && !strcmp(a->zone, b->zone) &&
	       !strcmp(a->hostname, b->hostname) && !strcmp(a->pod_uid, b->pod_uid) &&
	       texts_equal(a->zone_hints, a->zone_hint_count, b->zone_hints, b->zone_hint_count) &&
	       texts_equal(a->node_hints, a->node_hint_count, b->node_hints, b->node_hint_count);
}

bool ports_equal(const struct slice_port *a, size_t a_count, const struct slice_port *b,
		 size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i].name, b[i].name) || a[i].port != b[i].port ||
		    a[i].protocol != b[i].protocol || strcmp(a[i].app_protocol, b[i].app_protocol))
			return false;
	return true;
}

/* --- one pod -------------------------------------------------------------------------------- */

static const union mg_addr *first_of_family(const union mg_addr *addrs, size_t count, bool is6)
{
	for (size_t i = 0; i < count; i++)
		if (addr_is4(&addrs[i]) != is6)
			return &addrs[i];
	return NULL;
}

/* What the Pod's status says, else what an attachment has. */
static const union mg_addr *addr_of(const struct source *source, bool is6)
{
	const struct pod *pod = pod_of(source->pod);
	const union mg_addr *addr = pod ? first_of_family(pod->ips, pod->ip_count, is6) : NULL;
	const struct attachment *attachment = source->attachments;

	for (; !addr && attachment; attachment = attachment->next) {
		const struct workload_endpoint *workload = workload_endpoint_of(attachment->object);

		addr = first_of_family(workload->ips, workload->ip_count, is6);
	}
	return addr && !addr_is_special(addr) ? addr : NULL;
}

static const char *node_of_source(const struct source *source)
{
	const struct pod *pod = pod_of(source->pod);

	if (pod && *pod->node)
		return pod->node;
	return source->attachments ? workload_endpoint_of(source->attachments->object)->node : "";
}

/* A kubelet judges its pods; without one a container that is attached, or said to run, serves. */
static bool is_serving(const struct source *source)
{
	const struct pod *pod = pod_of(source->pod);

	if (!pod || !pod->judged)
		return source->attachments || pod->phase == POD_PHASE_RUNNING;
	return pod->ready;
}

static uint16_t named_port(const struct pod_port *ports, size_t count,
			   const struct service_port *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (ports[i].protocol == wanted->protocol &&
		    !strcmp(ports[i].name, wanted->target_name))
			return ports[i].port;
	return 0;
}

/* 0: the pod has no such port. */
static uint16_t target_of(const struct source *source, const struct service_port *port)
{
	const struct pod *pod = pod_of(source->pod);
	uint16_t found = 0;

	if (!port->target_name)
		return port->target_port;
	if (pod)
		return named_port(pod->ports, pod->port_count, port);
	for (const struct attachment *a = source->attachments; a && !found; a = a->next) {
		const struct workload_endpoint *workload = workload_endpoint_of(a->object);

		found = named_port(workload->ports, workload->port_count, port);
	}
	return found;
}

static size_t take_ports(const struct service *service, const struct source *source,
			 struct slice_port *ports)
{
	size_t count = 0;

	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];
		uint16_t target = target_of(source, port);

		if (target)
			ports[count++] = (struct slice_port){ .name = port->name,
							      .app_protocol = port->app_protocol,
							      .protocol = port->protocol,
							      .port = target };
	}
	return count;
}

/* Who should use the endpoint: those near it, as long as it is ready. */
static void put_hints(const struct service *service, struct slice_endpoint *endpoint,
		      struct arena *arena)
{
	if (!endpoint->ready || service->distribution == SERVICE_DISTRIBUTION_NONE)
		return;
	if (*endpoint->zone) {
		endpoint->zone_hints = arena_alloc(arena, sizeof(*endpoint->zone_hints));
		endpoint->zone_hints[0] = endpoint->zone;
		endpoint->zone_hint_count = 1;
	}
	if (service->distribution == SERVICE_DISTRIBUTION_SAME_NODE && *endpoint->node) {
		endpoint->node_hints = arena_alloc(arena, sizeof(*endpoint->node_hints));
		endpoint->node_hints[0] = endpoint->node;
		endpoint->node_hint_count = 1;
	}
}

static struct slice_endpoint endpoint_of(const struct slicer *slices, const struct service *service,
					 const struct source *source, struct arena *arena)
{
	const struct pod *pod = pod_of(source->pod);
	const bool serving = is_serving(source), terminating = pod && pod->base.deleting;
	struct slice_endpoint endpoint = {
		.ready = service->publish_not_ready || (serving && !terminating),
		.serving = serving,
		.terminating = terminating,
		.node = node_of_source(source),
		.hostname = "",
		.pod = strchr(source->key, '/') + 1,
		.pod_uid = pod ? pod->base.uid : "",
	};

	endpoint.zone = slicer_zone(slices, endpoint.node);
	if (pod && *pod->hostname && !strcmp(pod->subdomain, service->base.name))
		endpoint.hostname = pod->hostname;
	put_hints(service, &endpoint, arena);
	return endpoint;
}

/* --- all of them ---------------------------------------------------------------------------- */

static void want_add(struct want *want, const struct slice_endpoint *endpoint)
{
	if (want->count == want->room) {
		want->room = want->room ? want->room * 2 : 16;
		want->endpoints = xrealloc(want->endpoints, want->room, sizeof(*want->endpoints));
	}
	want->endpoints[want->count++] = *endpoint;
}

static struct want *want_for(struct want **list, const struct slice_port *ports, size_t count,
			     struct arena *arena)
{
	struct want *want;

	LL_FOREACH(*list, want) {
		if (ports_equal(want->ports, want->port_count, ports, count))
			return want;
	}
	want = arena_alloc(arena, sizeof(*want));
	want->ports = arena_array(arena, count, sizeof(*ports));
	if (count)
		memcpy(want->ports, ports, count * sizeof(*ports));
	want->port_count = count;
	LL_APPEND(*list, want);
	return want;
}

static int endpoint_order(const void *a, const void *b)
{
	return endpoint_cmp(a, b);
}

/* Sorted, and out of the heap into the arena. */
static void want_settle(struct want *want, struct arena *arena)
{
	struct slice_endpoint *heap = want->endpoints;

	want->endpoints = arena_array(arena, want->count, sizeof(*heap));
	memcpy(want->endpoints, heap, want->count * sizeof(*heap));
	free(heap);
	qsort(want->endpoints, want->count, sizeof(*want->endpoints), endpoint_order);
}

static bool is_gone(const struct source *source)
{
	return source->pod && pod_is_done(pod_of(source->pod));
}

struct want *want_of(const struct slicer *slices, const struct known_service *known, bool is6,
		     struct arena *arena)
{
	const struct service *service = service_of(known->object);
	struct slice_port *ports = arena_array(arena, service->port_count, sizeof(*ports));
	struct want *list = NULL, *want;
	const struct source *source;

	DL_FOREACH(known->space->sources, source) {
		const union mg_addr *addr = addr_of(source, is6);
		struct slice_endpoint endpoint;
		size_t count;

		if (!addr || is_gone(source) || !source_is_selected(source, &service->selector))
			continue;
		count = take_ports(service, source, ports);
		endpoint = endpoint_of(slices, service, source, arena);
		endpoint.addrs = arena_alloc(arena, sizeof(*addr));
		*endpoint.addrs = *addr;
		endpoint.addr_count = 1;
		want_add(want_for(&list, ports, count, arena), &endpoint);
	}
	LL_FOREACH(list, want) {
		want_settle(want, arena);
	}
	return list;
}

bool want_family(const struct service *service, bool is6)
{
	if (service->type == SERVICE_EXTERNAL_NAME || !service->selector.count)
		return false;
	for (size_t i = 0; i < service->family_count; i++)
		if (service->is6[i] == is6)
			return true;
	if (service->family_count)
		return false;
	return !service->cluster_ip_count ||
	       first_of_family(service->cluster_ips, service->cluster_ip_count, is6);
}

/* The Service's own labels, and those that say whose slice it is. */
struct labels want_labels(const struct service *service, struct arena *arena)
{
	const struct labels *own = &service->base.labels;
	struct labels labels = { .v = arena_array(arena, own->count + 3, sizeof(*labels.v)) };

	for (size_t i = 0; i < own->count; i++) {
		if (strcmp(own->v[i].key, LABEL_SERVICE_NAME) &&
		    strcmp(own->v[i].key, LABEL_SLICE_MANAGED_BY) &&
		    strcmp(own->v[i].key, LABEL_HEADLESS))
			labels.v[labels.count++] = own->v[i];
	}
	labels.v[labels.count++] = (struct label){ LABEL_SERVICE_NAME, service->base.name };
	labels.v[labels.count++] = (struct label){ LABEL_SLICE_MANAGED_BY, SLICER_MANAGER };
	if (service->headless)
		labels.v[labels.count++] = (struct label){ LABEL_HEADLESS, "" };
	labels_sort(&labels);
	return labels;
}
