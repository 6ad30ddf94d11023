/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoints of a port may serve: ready ones, those of them that topology hints give to this
 * node; without a ready one those that terminate and still serve. Of scope Local those of this
 * node, without hints.
 */
#include <endian.h>
#include <string.h>

#include "state/service_own.h"

static bool matches(const struct slice_port *a, const struct port_facts *b)
{
	return a->port && a->protocol == b->protocol && !strcmp(a->name, b->name);
}

/* A condition on endpoints: all of `want` among their flags, none of `refuse`. */
struct condition {
	uint8_t want, refuse;
};

static const struct condition ready = { .want = ENDPOINT_READY };
static const struct condition draining = { .want = ENDPOINT_SERVING | ENDPOINT_TERMINATING,
					   .refuse = ENDPOINT_READY };

static bool holds(const struct endpoint_facts *endpoint, const struct condition *condition)
{
	return (endpoint->flags & condition->want) == condition->want &&
	       !(endpoint->flags & condition->refuse);
}

static void take(const struct slice_facts *slice, uint16_t port, const struct condition *condition,
		 struct backends *backends)
{
	for (size_t i = 0; i < slice->endpoints.n; i++) {
		const struct endpoint_facts *endpoint = &slice->endpoints.v[i];

		if (holds(endpoint, condition))
			vec_push(&backends->v,
				 (struct backend){ .addr = endpoint->addr, .port = htobe16(port) });
	}
}

/* Every slice of the family that has the port. */
#define for_each_slice(service, port_, is6_, slice, at)                                            \
	for (const struct slice_facts *slice = (service)->slices; slice; slice = slice->next)      \
		for (size_t at = 0; slice->is6 == (is6_) && at < slice->ports.n; at++)             \
			if (matches(&slice->ports.v[at], port_))

static void take_all(const struct proxied *service, const struct port_facts *port, bool is6,
		     const struct condition *condition, struct backends *backends)
{
	for_each_slice(service, port, is6, slice, at)
		take(slice, slice->ports.v[at].port, condition, backends);
}

/* Flags that all ready endpoints have, and those that one of them has. */
static void survey(const struct proxied *service, const struct port_facts *port, bool is6,
		   uint8_t *ret_all, uint8_t *ret_any)
{
	uint8_t all = 0xff, any = 0;

	for_each_slice(service, port, is6, slice, at)
	{
		for (size_t i = 0; i < slice->endpoints.n; i++) {
			uint8_t flags = slice->endpoints.v[i].flags;

			if (!(flags & ENDPOINT_READY))
				continue;
			all &= flags;
			any |= flags;
		}
	}
	*ret_all = any ? all : 0;
	*ret_any = any;
}

/* Hints count where every ready endpoint has some and one of them names this node, or its zone;
 * those for nodes before those for zones. */
static struct condition by_hints(const struct proxied *service, const struct port_facts *port,
				 bool is6)
{
	struct condition condition = ready;
	uint8_t all, any;

	survey(service, port, is6, &all, &any);
	if (all & ENDPOINT_NODES && any & ENDPOINT_NODE)
		condition.want |= ENDPOINT_NODE;
	else if (all & ENDPOINT_ZONES && any & ENDPOINT_ZONE)
		condition.want |= ENDPOINT_ZONE;
	return condition;
}

void service_choose(const struct proxied *service, const struct port_facts *port, bool is6,
		    enum service_scope scope, struct backends *ret_backends)
{
	struct condition first = ready, then = draining;

	if (scope == SCOPE_LOCAL) {
		first.want |= ENDPOINT_LOCAL;
		then.want |= ENDPOINT_LOCAL;
	} else {
		first = by_hints(service, port, is6);
	}
	*ret_backends = (struct backends){ 0 };
	take_all(service, port, is6, &first, ret_backends);
	if (!ret_backends->v.n)
		take_all(service, port, is6, &then, ret_backends);
}

bool service_has_endpoints(const struct proxied *service, const struct port_facts *port, bool is6)
{
	for_each_slice(service, port, is6, slice, at)
	{
		for (size_t i = 0; i < slice->endpoints.n; i++) {
			if (holds(&slice->endpoints.v[i], &ready) ||
			    holds(&slice->endpoints.v[i], &draining))
				return true;
		}
	}
	return false;
}
