/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WorkloadEndpoint (projectcalico.org/v3): a container or pod on a node, with its addresses.
 * The agent writes one for each endpoint; other nodes learn addresses from it.
 */
#ifndef MARGAY_MODEL_WORKLOAD_H
#define MARGAY_MODEL_WORKLOAD_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"
#include "model/pod.h"

struct workload_endpoint {
	struct object base;
	const char *orchestrator; /* "k8s", "cni" ...; never NULL, like every string here */
	const char *workload;	  /* where the orchestrator is not k8s */
	const char *node;
	const char *container_id;
	const char *pod;
	const char *endpoint;	     /* interface in the container: "eth0" */
	const char *service_account; /* "" : none named */
	const char *interface;	     /* host side: "cali..." */
	size_t ip_count;
	union mg_addr *ips; /* ipNetworks; each is a /32 or /128 */
	uint8_t mac[6];	    /* all zero: not given */
	size_t profile_count;
	const char **profiles;
	size_t port_count;
	struct pod_port *ports;
	size_t source_count;
	struct mg_prefix *sources; /* allowSpoofedSourcePrefixes */
};

static inline const struct workload_endpoint *workload_endpoint_of(const struct object *object)
{
	return object && object->kind == KIND_WORKLOAD_ENDPOINT
		       ? (const struct workload_endpoint *)object
		       : NULL;
}

#endif
