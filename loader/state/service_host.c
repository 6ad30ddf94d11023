/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of the node that lead to its pods (CNI's portMappings, Kubernetes' hostPort): an attachment
 * of this node stands where a Service does, with itself as the one endpoint. A port for all
 * addresses has one frontend a family, which says that it holds at this node alone (MG_FRONT_OWN).
 */
#include <endian.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "state/service_own.h"

static const union mg_addr *pod_addr(const struct proxied *pod, bool is6)
{
	return is6 ? &pod->ip6 : &pod->ip4;
}

static bool covers(const struct host_port *port, bool is6)
{
	return is6 ? port->v6 : port->v4;
}

/* 0.0.0.0 or :: where it is for all addresses. */
static union mg_addr front_addr(const struct host_port *port, bool is6)
{
	union mg_addr addr = port->addr;

	if (addr_is_zero(&addr) && !is6)
		addr.b[10] = addr.b[11] = 0xff;
	return addr;
}

/* --- what is told ------------------------------------------------------------------------- */

/* As people see it, and what tells its set from the pod's others. */
static char *port_name(const struct host_port *port)
{
	char text[ADDR_TEXT_MAX];

	if (addr_is_zero(&port->addr))
		return xasprintf("hostPort %s%u",
				 !port->v4   ? ":::"
				 : !port->v6 ? "0.0.0.0:"
					     : "",
				 port->port);
	addr_format(&port->addr, text);
	return xasprintf(addr_is4(&port->addr) ? "hostPort %s:%u" : "hostPort [%s]:%u", text,
			 port->port);
}

static bool same_port(const struct host_port *a, const struct host_port *b)
{
	return a->port == b->port && a->proto == b->proto && a->v4 == b->v4 && a->v6 == b->v6 &&
	       !addr_cmp(&a->addr, &b->addr);
}

static bool has_port(const struct proxied *pod, const struct host_port *port)
{
	for (size_t i = 0; i < pod->host.n; i++) {
		if (same_port(&pod->host.v[i], port))
			return true;
	}
	return false;
}

void pod_take(struct services *services, struct proxied *pod, const struct host_ports *from)
{
	pod->shown = xasprintf("pod %s", from->name);
	pod->known = pod->pod = true;
	pod->ip4 = from->ip4;
	pod->ip6 = from->ip6;
	for (size_t i = 0; i < from->count; i++) {
		const struct host_port *port = &from->v[i];

		if (has_port(pod, port))
			continue;
		vec_push(&pod->host, *port);
		vec_push(&pod->ports, (struct port_facts){ .name = port_name(port),
							   .port = port->target,
							   .node_port = port->port,
							   .protocol = port->proto });
	}
	DL_APPEND2(services->pods, pod, prev_pod, next_pod);
}

void pod_drop(struct services *services, struct proxied *pod)
{
	if (!pod->pod)
		return;
	DL_DELETE2(services->pods, pod, prev_pod, next_pod);
	free(pod->shown);
	pod->shown = NULL;
	vec_done(&pod->host);
	pod->pod = false;
}

/* --- rows --------------------------------------------------------------------------------- */

/* A loopback address is the node's own sockets' alone. */
static bool is_loopback(const union mg_addr *addr)
{
	return addr_is4(addr) ? addr->b[12] == 127
			      : addr->w[3] == htobe32(1) && !addr->w[2] && !addr->d[0];
}

static void claim_all(struct services *services, struct proxied *pod, struct mg_front_key key,
		      const struct mg_front *row, const char *name)
{
	if (is_loopback(&key.addr)) {
		key.scope = MG_FRONT_SELF;
		claim_add(services, pod, &key, row, name);
		return;
	}
	key.scope = MG_FRONT_NEAR;
	claim_add(services, pod, &key, row, name);
	key.scope = MG_FRONT_FAR;
	claim_add(services, pod, &key, row, name);
}

static void write_family(struct services *services, struct proxied *pod, size_t at, bool is6)
{
	const struct host_port *host = &pod->host.v[at];
	const struct port_facts *port = &pod->ports.v[at];
	const struct set_args args = {
		.service = pod, .port = port, .is6 = is6, .scope = SCOPE_LOCAL
	};
	const struct mg_front_key key = { .addr = front_addr(host, is6),
					  .port = htobe16(host->port),
					  .proto = host->proto };
	struct backend backend = { .addr = *pod_addr(pod, is6), .port = htobe16(port->port) };
	struct back_set *set = back_set_get(services, &args);
	const struct mg_front row = { .set = set->number,
				      .count = 1,
				      .flags = addr_is_zero(&host->addr) ? MG_FRONT_OWN : 0 };

	back_set_write(services, set, &backend, 1, host->proto == IPPROTO_UDP);
	vec_push(&pod->sets, set);
	claim_all(services, pod, key, &row, port->name);
}

void pod_write(struct services *services, struct proxied *pod, size_t at)
{
	for (int is6 = 0; is6 <= 1; is6++) {
		if (covers(&pod->host.v[at], is6) && !addr_is_zero(pod_addr(pod, is6)))
			write_family(services, pod, at, is6);
	}
}

/* --- who has it --------------------------------------------------------------------------- */

static bool overlaps(const struct host_port *a, const struct host_port *b)
{
	if (a->port != b->port || a->proto != b->proto || !((a->v4 && b->v4) || (a->v6 && b->v6)))
		return false;
	return addr_is_zero(&a->addr) || addr_is_zero(&b->addr) || !addr_cmp(&a->addr, &b->addr);
}

static const char *taken_by_pod(const struct services *services, const char *key,
				const struct host_port *port)
{
	const struct proxied *pod;

	DL_FOREACH2(services->pods, pod, next_pod)
	{
		for (size_t i = 0; strcmp(pod->key, key) != 0 && i < pod->host.n; i++) {
			if (overlaps(&pod->host.v[i], port))
				return pod->shown;
		}
	}
	return NULL;
}

/* The Service that has the frontend at an address of the family. */
static const char *service_at(const struct services *services, const union mg_addr *addr,
			      const struct host_port *port)
{
	const struct mg_front_key key = { .addr = *addr,
					  .port = htobe16(port->port),
					  .proto = port->proto,
					  .scope = MG_FRONT_NEAR };
	const struct claim *claim;
	const struct front *front;

	HASH_FIND(hh, services->fronts, &key, sizeof(key), front);
	if (!front)
		return NULL;
	DL_FOREACH(front->claims, claim) {
		if (!claim->service->pod)
			return claim->service->key;
	}
	return NULL;
}

/* A node port holds at all addresses, so at the one that the port is for, too. */
static const char *taken_by_service(const struct services *services, const struct host_port *port)
{
	const struct host_port all = { .v4 = port->v4, .v6 = port->v6 };
	const char *service = NULL;

	for (int is6 = 0; is6 <= 1 && !service; is6++) {
		union mg_addr any = front_addr(&all, is6), own = front_addr(port, is6);

		if (!covers(port, is6))
			continue;
		service = service_at(services, &any, port);
		if (!service)
			service = service_at(services, &own, port);
	}
	return service;
}

char *services_ports_taken(const struct services *services, const struct host_ports *want)
{
	for (size_t i = 0; i < want->count; i++) {
		const struct host_port *port = &want->v[i];
		const char *pod = taken_by_pod(services, want->key, port);
		const char *service = pod ? NULL : taken_by_service(services, port);
		_cleanup_free_ char *name = NULL;

		if (!pod && !service)
			continue;
		name = port_name(port);
		return xasprintf("%s/%s belongs to %s%s", name, transport_name(port->proto),
				 pod ? pod : "service ", pod ? "" : service);
	}
	return NULL;
}
