/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/service_oracle.h"

#include <stdlib.h>
#include <string.h>

/* --- addresses, without the product's helpers ------------------------------------------------ */

static bool same(const union mg_addr *a, const union mg_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_v6(const union mg_addr *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(addr->b, mapped, sizeof(mapped)) != 0;
}

static bool is_in(const struct mg_prefix *prefix, const union mg_addr *addr)
{
	for (unsigned int bit = 0; bit < prefix->len; bit++) {
		const uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		if ((prefix->addr.b[bit / 8] ^ addr->b[bit / 8]) & mask)
			return false;
	}
	return true;
}

/* --- which Service is meant ------------------------------------------------------------------ */

/* Headless Services have no address, names are for DNS; two labels give it to others. */
static bool is_for_us(const struct service *service)
{
	for (size_t i = 0; i < service->base.labels.count; i++) {
		const char *key = service->base.labels.v[i].key;

		if (!strcmp(key, "service.kubernetes.io/service-proxy-name") ||
		    !strcmp(key, "service.kubernetes.io/headless"))
			return false;
	}
	return service->type != SERVICE_EXTERNAL_NAME && !service->headless &&
	       !service->nat_exclude;
}

static bool has(const union mg_addr *list, size_t count, const union mg_addr *addr)
{
	for (size_t i = 0; i < count; i++)
		if (same(&list[i], addr))
			return true;
	return false;
}

/* An address of mode Proxy is not to be short-cut: the balancer sees every packet. */
static bool has_ingress(const struct service *service, const union mg_addr *addr)
{
	for (size_t i = 0; i < service->ingress_count; i++)
		if (same(&service->ingress[i].addr, addr) && !service->ingress[i].proxy)
			return true;
	return false;
}

/* "127.0.0.0/8", "::1" */
static bool is_loopback(const union mg_addr *addr)
{
	static const uint8_t one[16] = { [15] = 1 };

	return is_v6(addr) ? !memcmp(addr->b, one, 16) : addr->b[12] == 127;
}

static bool is_own(const struct so_world *world, const struct so_query *query)
{
	const struct so_node *node = &world->nodes[query->node];

	if (is_loopback(&query->dest))
		return query->from == SO_FROM_HOST;
	return has(node->addrs, node->addr_count, &query->dest);
}

static bool serves_family(const struct service *service, bool v6)
{
	for (size_t i = 0; i < service->cluster_ip_count; i++)
		if (is_v6(&service->cluster_ips[i]) == v6)
			return true;
	return false;
}

/* Whether the destination is this frontend's of the Service, the port aside. */
static bool is_at(const struct so_world *world, const struct so_query *query,
		  const struct service *service, enum so_frontend frontend)
{
	switch (frontend) {
	case SO_CLUSTER_IP:
		return has(service->cluster_ips, service->cluster_ip_count, &query->dest);
	case SO_EXTERNAL_IP:
		return !world->refuse_external_ips &&
		       has(service->external_ips, service->external_ip_count, &query->dest);
	case SO_LOAD_BALANCER:
		return has_ingress(service, &query->dest);
	case SO_NODE_PORT:
		return is_own(world, query) && serves_family(service, is_v6(&query->dest));
	}
	return false;
}

static bool meets(const struct so_query *query, const struct service_port *port,
		  enum so_frontend frontend)
{
	const uint16_t number = frontend == SO_NODE_PORT ? port->node_port : port->port;

	return number && number == query->port && port->protocol == query->protocol;
}

static bool find_in(const struct so_world *world, const struct so_query *query,
		    const struct service *service, enum so_frontend frontend,
		    struct so_answer *answer)
{
	for (size_t i = 0; i < service->port_count; i++) {
		if (!meets(query, &service->ports[i], frontend) ||
		    !is_at(world, query, service, frontend))
			continue;
		answer->frontend = frontend;
		answer->service = service;
		answer->port = &service->ports[i];
		return true;
	}
	return false;
}

/* An exact address goes before the node ports, which stand at every address of the node. */
static bool find(const struct so_world *world, const struct so_query *query,
		 struct so_answer *answer)
{
	for (int node_ports = 0; node_ports < 2; node_ports++) {
		for (size_t i = 0; i < world->service_count; i++) {
			const struct service *service = world->services[i];
			const int first = node_ports ? SO_NODE_PORT : SO_CLUSTER_IP;
			const int last = node_ports ? SO_NODE_PORT : SO_LOAD_BALANCER;

			for (int f = first; f <= last && is_for_us(service); f++)
				if (find_in(world, query, service, (enum so_frontend)f, answer))
					return true;
		}
	}
	return false;
}

/* --- its endpoints --------------------------------------------------------------------------- */

struct candidate {
	struct so_backend backend;
	bool ready, draining; /* serving and terminating */
	bool here;
	const struct slice_endpoint *from;
};

struct candidates {
	struct candidate v[SO_BACKENDS_MAX];
	size_t count;
};

static bool slice_is_for_us(const struct endpoint_slice *slice)
{
	for (size_t i = 0; i < slice->base.labels.count; i++) {
		const char *key = slice->base.labels.v[i].key;

		if (!strcmp(key, "service.kubernetes.io/service-proxy-name") ||
		    !strcmp(key, "service.kubernetes.io/headless"))
			return false;
	}
	return !slice->fqdn;
}

/* One address in several slices is one endpoint: ready where one of them says so. */
static void add(struct candidates *list, const struct candidate *one)
{
	for (size_t i = 0; i < list->count; i++) {
		struct candidate *known = &list->v[i];

		if (!same(&known->backend.addr, &one->backend.addr) ||
		    known->backend.port != one->backend.port)
			continue;
		known->ready |= one->ready;
		known->draining |= one->draining;
		known->here |= one->here;
		return;
	}
	if (list->count < SO_BACKENDS_MAX)
		list->v[list->count++] = *one;
}

static void add_slice(const struct so_world *world, const struct so_query *query,
		      const struct endpoint_slice *slice, uint16_t port, struct candidates *list)
{
	for (size_t i = 0; i < slice->endpoint_count; i++) {
		const struct slice_endpoint *e = &slice->endpoints[i];
		struct candidate one = {
			.backend = { .addr = e->addrs[0], .port = port, .node = e->node },
			.ready = e->ready,
			.draining = e->serving && e->terminating,
			.here = !strcmp(e->node, world->nodes[query->node].name),
			.from = e,
		};

		add(list, &one);
	}
}

/* Slices of the Service's namespace and name, of the destination's family, and in them the port
 * that has the Service port's name. */
static void collect(const struct so_world *world, const struct so_query *query,
		    const struct so_answer *answer, struct candidates *list)
{
	const struct service *service = answer->service;

	for (size_t i = 0; i < world->slice_count; i++) {
		const struct endpoint_slice *slice = world->slices[i];

		if (strcmp(slice->base.ns, service->base.ns) ||
		    strcmp(slice->service, service->base.name) || !slice_is_for_us(slice) ||
		    slice->is6 != is_v6(&query->dest))
			continue;
		for (size_t k = 0; k < slice->port_count; k++) {
			const struct slice_port *port = &slice->ports[k];

			if (port->port && port->protocol == answer->port->protocol &&
			    !strcmp(port->name, answer->port->name))
				add_slice(world, query, slice, port->port, list);
		}
	}
}

/* --- who of them is used --------------------------------------------------------------------- */

static bool is_named(const char **names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

enum nearness { ANYWHERE, SAME_ZONE, SAME_NODE };

static bool is_near(const struct candidate *one, enum nearness near, const struct so_node *node)
{
	const struct slice_endpoint *e = one->from;

	if (near == SAME_NODE)
		return is_named(e->node_hints, e->node_hint_count, node->name);
	return near == ANYWHERE || is_named(e->zone_hints, e->zone_hint_count, node->zone);
}

/* Hints hold when every ready endpoint has them and one is for us; else they are not heeded. */
static bool hints_hold(const struct candidates *list, enum nearness near,
		       const struct so_node *node)
{
	bool one_is_ours = false;

	for (size_t i = 0; i < list->count; i++) {
		const struct slice_endpoint *e = list->v[i].from;

		if (!list->v[i].ready)
			continue;
		if (near == SAME_NODE ? !e->node_hint_count : !e->zone_hint_count)
			return false;
		one_is_ours |= is_near(&list->v[i], near, node);
	}
	return one_is_ours;
}

static enum nearness nearness_of(const struct candidates *list, const struct so_node *node)
{
	if (hints_hold(list, SAME_NODE, node))
		return SAME_NODE;
	if (*node->zone && hints_hold(list, SAME_ZONE, node))
		return SAME_ZONE;
	return ANYWHERE;
}

static void take(struct so_answer *answer, const struct candidate *one)
{
	answer->backends[answer->backend_count++] = one->backend;
}

/* Ready ones, near as hints say; where none is ready, those that still serve while they go. */
static void choose_cluster(const struct candidates *list, const struct so_node *node,
			   struct so_answer *answer)
{
	const enum nearness near = nearness_of(list, node);

	for (size_t i = 0; i < list->count; i++)
		if (list->v[i].ready && is_near(&list->v[i], near, node))
			take(answer, &list->v[i]);
	for (size_t i = 0, none = !answer->backend_count; none && i < list->count; i++)
		if (list->v[i].draining)
			take(answer, &list->v[i]);
}

/* The same of this node's endpoints; hints do not matter. */
static void choose_local(const struct candidates *list, struct so_answer *answer)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->v[i].here && list->v[i].ready)
			take(answer, &list->v[i]);
	for (size_t i = 0, none = !answer->backend_count; none && i < list->count; i++)
		if (list->v[i].here && list->v[i].draining)
			take(answer, &list->v[i]);
}

static bool somebody_serves(const struct candidates *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->v[i].ready || list->v[i].draining)
			return true;
	return false;
}

/* internalTrafficPolicy is about cluster addresses; externalTrafficPolicy about the others, for
 * traffic from outside: pods and nodes reach them through all endpoints. */
static bool is_local_only(const struct so_query *query, const struct so_answer *answer)
{
	if (answer->frontend == SO_CLUSTER_IP)
		return answer->service->internal_traffic == SERVICE_TRAFFIC_LOCAL;
	return query->from == SO_FROM_OUTSIDE &&
	       answer->service->external_traffic == SERVICE_TRAFFIC_LOCAL;
}

/* --- who may --------------------------------------------------------------------------------- */

/* Source ranges close load-balancer addresses alone. */
static bool may(const struct so_query *query, const struct so_answer *answer)
{
	const struct service *service = answer->service;

	if (answer->frontend != SO_LOAD_BALANCER || !service->limits_sources)
		return true;
	for (size_t i = 0; i < service->source_range_count; i++)
		if (is_in(&service->source_ranges[i], &query->source))
			return true;
	return false;
}

/* --- the answer ------------------------------------------------------------------------------ */

static int backend_order(const void *a, const void *b)
{
	const struct so_backend *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : (int)x->port - y->port;
}

static enum so_verdict judge(const struct so_world *world, const struct so_query *query,
			     struct so_answer *answer)
{
	struct candidates list = { .count = 0 };

	if (!may(query, answer))
		return SO_DROPPED;
	collect(world, query, answer, &list);
	if (is_local_only(query, answer))
		choose_local(&list, answer);
	else
		choose_cluster(&list, &world->nodes[query->node], answer);
	qsort(answer->backends, answer->backend_count, sizeof(answer->backends[0]), backend_order);
	if (answer->backend_count)
		return SO_TRANSLATED;
	return somebody_serves(&list) ? SO_DROPPED : SO_REJECTED;
}

void so_ask(const struct so_world *world, const struct so_query *query, struct so_answer *answer)
{
	answer->backend_count = 0;
	answer->affinity_s = 0;
	answer->service = NULL;
	answer->port = NULL;
	if (!find(world, query, answer)) {
		answer->verdict = SO_NOT_A_SERVICE;
		return;
	}
	if (answer->service->client_ip_affinity)
		answer->affinity_s = answer->service->affinity_timeout_s;
	answer->verdict = judge(world, query, answer);
}

const struct so_backend *so_backend(const struct so_answer *answer, const union mg_addr *addr,
				    uint16_t port)
{
	for (size_t i = 0; i < answer->backend_count; i++)
		if (same(&answer->backends[i].addr, addr) && answer->backends[i].port == port)
			return &answer->backends[i];
	return NULL;
}

const char *so_verdict_name(enum so_verdict verdict)
{
	static const char *const names[] = { "not a service", "translated", "rejected", "dropped" };

	return names[verdict];
}
