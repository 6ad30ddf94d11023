/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlice (discovery.k8s.io/v1): endpoints of a Service, of one family, each behind every
 * port of the slice. A bad endpoint or port is left out and reported; the rest stands.
 * Everything lies in the object's arena.
 *
 * Source: Kubernetes API reference, EndpointSlice v1.
 */
#ifndef MARGAY_MODEL_SLICE_H
#define MARGAY_MODEL_SLICE_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_SLICE_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define ANNOTATION_TRIGGER_TIME "endpoints.kubernetes.io/last-change-trigger-time"

struct slice_port {
	const char *name;	  /* "" : without a name */
	const char *app_protocol; /* "" : not given */
	uint8_t protocol;	  /* IPPROTO_TCP where missing */
	uint16_t port;		  /* host order; 0: every port */
};

struct slice_endpoint {
	size_t addr_count;    /* 1 at least */
	union mg_addr *addrs; /* the first is used, as Kubernetes says */
	bool ready; /* missing conditions mean: ready, serving as ready, not terminating */
	bool serving;
	bool terminating;
	const char *node; /* "" : not given */
	const char *zone;
	const char *hostname; /* DNS alone */
	const char *pod;      /* targetRef of kind Pod: its name; "" : none */
	const char *pod_uid;
	size_t zone_hint_count;
	const char **zone_hints; /* hints.forZones: who should use it; none: everybody */
	size_t node_hint_count;
	const char **node_hints; /* hints.forNodes */
};

struct endpoint_slice {
	struct object base;
	const char *service;	/* label kubernetes.io/service-name; "" : of no service */
	const char *managed_by; /* label endpointslice.kubernetes.io/managed-by; "" : nobody */
	bool is6;		/* addressType IPv6 */
	bool fqdn;		/* addressType FQDN: has no endpoints here */
	uint64_t trigger_ms;	/* last-change-trigger-time, since 1970; 0: not given */
	size_t port_count;
	struct slice_port *ports; /* none: the endpoints have no port of this service */
	size_t endpoint_count;
	struct slice_endpoint *endpoints;
};

/* Whether no label gives it to another proxy, or says that it is of a headless Service. */
bool endpoint_slice_is_proxied(const struct endpoint_slice *slice);

static inline const struct endpoint_slice *endpoint_slice_of(const struct object *object)
{
	return object && object->kind == KIND_ENDPOINT_SLICE ? (const struct endpoint_slice *)object
							     : NULL;
}

#endif
