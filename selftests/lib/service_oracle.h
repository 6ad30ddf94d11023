/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Service API, said naively: given Services, EndpointSlices and nodes, what may become of the
 * first packet of a connection, on the node that decides. Written from the API's documentation
 * alone; shares no code with what makes rows of maps.
 *
 * Nothing is indexed and nothing is remembered: each question looks at everything. Where two
 * Services ask for the same address, port and protocol, the earlier one in the world has it.
 * Ports are in host order.
 *
 * Source: Kubernetes documentation ("Virtual IPs and Service Proxies", "Service", "EndpointSlices",
 * "Topology Aware Routing", "Traffic distribution", KEP-1669 for terminating endpoints, KEP-3015
 * and KEP-4444 for distribution); API reference of Service v1 and EndpointSlice v1.
 */
#ifndef MARGAY_SELFTESTS_SERVICE_ORACLE_H
#define MARGAY_SELFTESTS_SERVICE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/service.h"
#include "model/slice.h"

#define SO_BACKENDS_MAX 512

struct so_node {
	const char *name;
	const char *zone; /* "" : none */
	const union mg_addr *addrs;
	size_t addr_count;
};

struct so_world {
	const struct service *const *services; /* by age: the first has what several ask for */
	size_t service_count;
	const struct endpoint_slice *const *slices;
	size_t slice_count;
	const struct so_node *nodes;
	size_t node_count;
	bool refuse_external_ips; /* by configuration */
};

/* Where the packet begins, as seen from the node that decides. */
enum so_from {
	SO_FROM_POD,	/* a pod of this node */
	SO_FROM_HOST,	/* a process in this node's own namespace */
	SO_FROM_OUTSIDE /* came to this node from without the cluster */
};

struct so_query {
	size_t node; /* that decides */
	enum so_from from;
	union mg_addr source;
	union mg_addr dest;
	uint16_t port;
	uint8_t protocol;
};

enum so_verdict {
	SO_NOT_A_SERVICE, /* goes on as it is */
	SO_TRANSLATED,	  /* to one of the backends */
	SO_REJECTED,	  /* there is no endpoint: reset, or unreachable, at once */
	SO_DROPPED	  /* not for this sender, or policy Local without an endpoint here */
};

enum so_frontend { SO_CLUSTER_IP, SO_EXTERNAL_IP, SO_LOAD_BALANCER, SO_NODE_PORT };

struct so_backend {
	union mg_addr addr;
	uint16_t port;
	const char *node; /* "" : not known */
};

struct so_answer {
	enum so_verdict verdict;
	/* The others only where a Service is meant. */
	enum so_frontend frontend;
	const struct service *service;
	const struct service_port *port;
	uint32_t affinity_s; /* the same client keeps its backend that long; 0: it need not */
	size_t backend_count;
	struct so_backend backends[SO_BACKENDS_MAX]; /* each may be chosen; by address and port */
};

void so_ask(const struct so_world *world, const struct so_query *query, struct so_answer *answer);

const struct so_backend *so_backend(const struct so_answer *answer, const union mg_addr *addr,
				    uint16_t port); /* NULL: not allowed */
/* "NAME" of an enum member, for messages. */
const char *so_verdict_name(enum so_verdict verdict);

#endif
