/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many ready endpoints of a Service run on this node, for load balancers that ask each node
 * (spec.healthCheckNodePort). Pure: objects in, counts out. Ones that terminate do not count, even
 * while they still serve: the balancer is to look elsewhere.
 *
 * Source: Kubernetes API reference, ServiceSpec.healthCheckNodePort; "Preserving the client source
 * IP" and KEP-1669.
 */
#ifndef MARGAY_STATE_LOCAL_READY_H
#define MARGAY_STATE_LOCAL_READY_H

#include "model/service.h"

struct local_ready;

struct local_ready *local_ready_new(const char *node);
void local_ready_free(struct local_ready *ready); /* accepts NULL */

/* Service and EndpointSlice, as the store has them; others are no news. true: ports to listen at
 * may have changed. */
bool local_ready_set(struct local_ready *ready, const struct object *object);
bool local_ready_del(struct local_ready *ready, enum kind kind, const char *ns, const char *name);

struct local_ready_service {
	const char *ns;
	const char *name;
	uint16_t port; /* healthCheckNodePort */
	size_t count;  /* different addresses */
};

/* Each Service with such a port, by namespace and name. */
void local_ready_each(const struct local_ready *ready,
		      void (*fn)(void *arg, const struct local_ready_service *service), void *arg);
/* One of them; false: it has no such port (any more). What it points to lives until it changes. */
bool local_ready_get(const struct local_ready *ready, const char *ns, const char *name,
		     struct local_ready_service *ret_service);

#endif
