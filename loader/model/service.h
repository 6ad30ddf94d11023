/* SPDX-License-Identifier: Apache-2.0 */
/* Service (core/v1) and EndpointSlice (discovery.k8s.io/v1). Decoded and indexed; services
 * themselves come later. */
#ifndef MARGAY_MODEL_SERVICE_H
#define MARGAY_MODEL_SERVICE_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME
};

enum service_traffic { SERVICE_TRAFFIC_CLUSTER, SERVICE_TRAFFIC_LOCAL };

struct service_port {
	const char *name; /* "" : the only port */
	uint8_t protocol; /* IPPROTO_TCP where missing */
	uint16_t port;
	uint16_t node_port;	 /* 0: none */
	uint16_t target_port;	 /* 0: by name, or as port */
	const char *target_name; /* NULL: by number */
};

struct service {
	struct object base;
	enum service_type type;
	size_t cluster_ip_count;
	union mg_addr *cluster_ips; /* none: headless */
	size_t external_ip_count;
	union mg_addr *external_ips;
	size_t ingress_ip_count;
	union mg_addr *ingress_ips; /* status.loadBalancer.ingress[].ip */
	size_t source_range_count;
	struct mg_prefix *source_ranges; /* loadBalancerSourceRanges, masked */
	size_t port_count;
	struct service_port *ports;
	enum service_traffic external_traffic;
	enum service_traffic internal_traffic;
	bool client_ip_affinity;
	uint32_t affinity_timeout_s; /* by default 10800 */
	uint16_t health_check_node_port;
};

struct slice_port {
	const char *name; /* "" : without a name */
	uint8_t protocol; /* IPPROTO_TCP where missing */
	uint16_t port;	  /* 0: every port */
};

struct slice_endpoint {
	size_t addr_count;
	union mg_addr *addrs; /* the first is used, as Kubernetes says */
	bool ready;	      /* missing conditions mean: ready, serving, not terminating */
	bool serving;
	bool terminating;
	const char *node; /* "" : not given */
	const char *zone;
	const char *pod; /* targetRef of kind Pod: its name; "" : none */
};

struct endpoint_slice {
	struct object base;
	const char *service; /* label kubernetes.io/service-name; "" : of no service */
	bool is6;	     /* addressType IPv6; slices of type FQDN have no endpoints here */
	size_t port_count;
	struct slice_port *ports;
	size_t endpoint_count;
	struct slice_endpoint *endpoints;
};

static inline const struct service *service_of(const struct object *object)
{
	return object && object->kind == KIND_SERVICE ? (const struct service *)object : NULL;
}

static inline const struct endpoint_slice *endpoint_slice_of(const struct object *object)
{
	return object && object->kind == KIND_ENDPOINT_SLICE ? (const struct endpoint_slice *)object
							     : NULL;
}

#endif
