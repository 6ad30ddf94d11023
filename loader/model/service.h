/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service (core/v1): what a virtual address, its ports and its way to endpoints are made of.
 * Endpoints are in EndpointSlices (slice.h).
 *
 * What the API server refuses is a STRICT error. In what is already in the store a bad row (a
 * port, an address, a range) is left out and reported, and the rest of the Service stands; a
 * field that does not go with the type has its default. Ports are in host order. Everything lies
 * in the object's arena.
 *
 * Source: Kubernetes API reference, Service v1 (ServiceSpec, ServiceStatus), and "Virtual IPs
 * and Service Proxies"; Calico's documentation for the annotations of projectcalico.org.
 */
#ifndef MARGAY_MODEL_SERVICE_H
#define MARGAY_MODEL_SERVICE_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

/* On a Service or an EndpointSlice: another proxy's, or nobody's. The value does not matter. */
#define LABEL_PROXY_NAME "service.kubernetes.io/service-proxy-name"
#define LABEL_HEADLESS "service.kubernetes.io/headless"

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME
};

enum service_traffic { SERVICE_TRAFFIC_CLUSTER, SERVICE_TRAFFIC_LOCAL };

/* spec.trafficDistribution; PreferClose is the older name of PreferSameZone. */
enum service_distribution {
	SERVICE_DISTRIBUTION_NONE,
	SERVICE_DISTRIBUTION_SAME_ZONE,
	SERVICE_DISTRIBUTION_SAME_NODE
};

enum service_family_policy {
	SERVICE_FAMILIES_UNSET,
	SERVICE_SINGLE_STACK,
	SERVICE_PREFER_DUAL_STACK,
	SERVICE_REQUIRE_DUAL_STACK
};

/* Annotation projectcalico.org/udpConntrackCleanup: when UDP flows to an endpoint end. */
enum service_udp_cleanup {
	SERVICE_UDP_CLEANUP_GONE,	/* the default: when it is no endpoint any more */
	SERVICE_UDP_CLEANUP_TERMINATING /* "TerminatingImmediately": as soon as it terminates */
};

struct service_port {
	const char *name;	  /* "" : the only port */
	const char *app_protocol; /* "" : not given */
	uint8_t protocol;	  /* IPPROTO_TCP where missing, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t port;
	uint16_t node_port;	 /* 0: none */
	uint16_t target_port;	 /* as port where the Service gives none; 0: by name */
	const char *target_name; /* NULL: by number */
};

/* status.loadBalancer.ingress[]; those with a host name alone are left out. */
struct service_ingress {
	union mg_addr addr;
	bool proxy; /* ipMode Proxy: not to be short-cut inside the cluster; else VIP */
};

struct service {
	struct object base;
	enum service_type type;
	bool headless; /* clusterIP None */
	/* None, and not headless: not allocated yet. At most one a family; the first is of the
	 * primary family. */
	size_t cluster_ip_count;
	union mg_addr *cluster_ips;
	size_t family_count; /* spec.ipFamilies; 0: not given */
	bool *is6;
	enum service_family_policy family_policy;
	size_t external_ip_count;
	union mg_addr *external_ips;
	size_t ingress_count;
	struct service_ingress *ingress;
	bool limits_sources; /* loadBalancerSourceRanges is there, even if no range of it was right
			      */
	size_t source_range_count;
	struct mg_prefix *source_ranges; /* masked */
	size_t port_count;
	struct service_port *ports;
	struct labels selector; /* of Pods in the same namespace; none: slices are hand-made */
	enum service_traffic external_traffic;
	enum service_traffic internal_traffic;
	enum service_distribution distribution;
	bool client_ip_affinity;
	uint32_t affinity_timeout_s; /* by default 10800 */
	bool publish_not_ready;
	uint16_t health_check_node_port; /* 0: none */
	bool allocate_node_ports;	 /* of a LoadBalancer; by default true */
	const char *load_balancer_class; /* "" : the cluster's default */
	union mg_addr load_balancer_ip;	 /* spec.loadBalancerIP; all zero: not given */
	const char *external_name;	 /* "" : none */
	/* Calico's annotations */
	bool nat_exclude; /* projectcalico.org/natExcludeService "true" */
	bool maglev;	  /* lb.projectcalico.org/external-traffic-strategy "maglev" */
	enum service_udp_cleanup udp_cleanup;
};

/* Whether a service proxy of this cluster handles the Service at all: it has virtual addresses,
 * and no label gives it to another proxy. */
bool service_is_proxied(const struct service *service);

static inline const struct service *service_of(const struct object *object)
{
	return object && object->kind == KIND_SERVICE ? (const struct service *)object : NULL;
}

#endif
