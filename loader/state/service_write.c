/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One service's rows anew: its sets of backends, and a frontend for each of its addresses and
 * ports, for clients of the cluster and for others.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <endian.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "state/service_own.h"

/* One port of a service in one family, and what its scopes lead to as far as they were asked for.
 */
struct port_write {
	struct services *services;
	struct proxied *service;
	const struct port_facts *port;
	bool is6;
	bool written[SCOPES];
	struct mg_front row[SCOPES];
};

/* The way to the API server is not given up where its list becomes empty (a server that restarts
 * alone takes itself off): the last endpoints stay. */
static bool keeps_last(const struct proxied *service, const struct back_set *set, size_t count)
{
	return !count && set->slots.n && !strcmp(service->key, "default/kubernetes");
}

static bool has_balancer(const struct port_write *write)
{
	for (size_t i = 0; i < write->service->outside.n; i++) {
		const struct outside_addr *outside = &write->service->outside.v[i];

		if (outside->balancer && addr_is4(&outside->addr) != write->is6)
			return true;
	}
	return false;
}

static void write_ranges(const struct port_write *write, struct back_set *set)
{
	const struct proxied *service = write->service;
	bool wanted = service->limits_sources && has_balancer(write);

	back_set_ranges(write->services, set, service->ranges.v, wanted ? service->ranges.n : 0);
}

static struct mg_front write_backends(const struct port_write *write, enum service_scope scope)
{
	struct proxied *service = write->service;
	const struct set_args args = {
		.service = service, .port = write->port, .is6 = write->is6, .scope = scope
	};
	struct back_set *set = back_set_get(write->services, &args);
	struct mg_front row = { .set = set->number, .affinity = service->affinity };
	struct backends backends;

	service_choose(service, write->port, write->is6, scope, &backends);
	if (!keeps_last(service, set, backends.v.n))
		back_set_write(write->services, set, backends.v.v, backends.v.n,
			       service->affinity > 0 || write->port->protocol == IPPROTO_UDP);
	vec_done(&backends.v);
	write_ranges(write, set);
	vec_push(&service->sets, set);
	row.count = (__u32)set->slots.n;
	if (!row.count && scope == SCOPE_LOCAL &&
	    service_has_endpoints(service, write->port, write->is6))
		row.flags = MG_FRONT_SILENT;
	return row;
}

/* What a scope leads to; its set is written once. */
static struct mg_front scope_row(struct port_write *write, enum service_scope scope)
{
	if (!write->written[scope])
		write->row[scope] = write_backends(write, scope);
	write->written[scope] = true;
	return write->row[scope];
}

static void add_front(struct port_write *write, const union mg_addr *addr, uint16_t port,
		      uint8_t near_or_far, struct mg_front row)
{
	const struct mg_front_key key = { .addr = *addr,
					  .port = htobe16(port),
					  .proto = write->port->protocol,
					  .scope = near_or_far };

	claim_add(write->services, write->service, &key, &row, write->port->name);
}

static enum service_scope scope_of(enum service_traffic policy)
{
	return policy == SERVICE_TRAFFIC_LOCAL ? SCOPE_LOCAL : SCOPE_CLUSTER;
}

/* Clients of the cluster reach all endpoints, whatever the policy. */
static void add_both(struct port_write *write, const union mg_addr *addr, uint16_t port,
		     __u32 flags)
{
	struct mg_front near = scope_row(write, SCOPE_CLUSTER);
	struct mg_front far = scope_row(write, scope_of(write->service->external));

	near.flags |= flags;
	far.flags |= flags;
	add_front(write, addr, port, MG_FRONT_NEAR, near);
	add_front(write, addr, port, MG_FRONT_FAR, far);
}

static void write_cluster(struct port_write *write)
{
	const struct proxied *service = write->service;
	union mg_addr any = { 0 };
	bool served = false;

	for (size_t i = 0; i < service->addrs.n; i++) {
		if (addr_is4(&service->addrs.v[i]) == write->is6)
			continue;
		served = true;
		add_front(write, &service->addrs.v[i], write->port->port, MG_FRONT_NEAR,
			  scope_row(write, scope_of(service->internal)));
	}
	if (!served || !write->port->node_port)
		return;
	if (!write->is6)
		any.b[10] = any.b[11] = 0xff;
	add_both(write, &any, write->port->node_port, 0);
}

static void write_port(struct services *services, struct proxied *service,
		       const struct port_facts *port, bool is6)
{
	struct port_write write = {
		.services = services, .service = service, .port = port, .is6 = is6
	};

	write_cluster(&write);
	for (size_t i = 0; i < service->outside.n; i++) {
		const struct outside_addr *outside = &service->outside.v[i];

		if (addr_is4(&outside->addr) == is6 ||
		    (services->refuse_external_ips && !outside->balancer))
			continue;
		add_both(&write, &outside->addr, port->port,
			 outside->balancer && service->limits_sources ? MG_FRONT_SOURCES : 0);
	}
}

void service_write(struct services *services, struct proxied *service)
{
	struct back_set **former = service->sets.v;
	size_t count = service->sets.n;

	claims_drop(services, service);
	memset(&service->sets, 0, sizeof(service->sets));
	for (size_t i = 0; i < count; i++)
		former[i]->used = false;
	for (size_t i = 0; service->known && i < service->ports.n; i++) {
		if (service->pod) {
			pod_write(services, service, i);
			continue;
		}
		write_port(services, service, &service->ports.v[i], false);
		write_port(services, service, &service->ports.v[i], true);
	}
	for (size_t i = 0; i < count; i++) {
		if (!former[i]->used)
			back_set_drop(services, former[i]);
	}
	free(former);
}
