/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster-wide policies of Kubernetes (policy.networking.k8s.io): ClusterNetworkPolicy (v1alpha2)
 * and, for clusters that still carry them, AdminNetworkPolicy and BaselineAdminNetworkPolicy
 * (v1alpha1), as one struct. Everything lies in the object's arena.
 *
 * Source: sigs.k8s.io/network-policy-api apis/v1alpha2, v1alpha1.
 */
#ifndef MARGAY_MODEL_CLUSTER_POLICY_H
#define MARGAY_MODEL_CLUSTER_POLICY_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"
#include "model/selector.h"

enum cluster_action { CLUSTER_ACCEPT = 1, CLUSTER_DENY, CLUSTER_PASS };

/* Pods of namespaces, or all pods in them. */
struct cluster_pods {
	const struct selector *namespaces; /* NULL: this is not given */
	const struct selector *pods;	   /* NULL: all */
};

struct cluster_peer {
	struct cluster_pods pods;
	size_t net_count;
	struct mg_prefix *nets;
	size_t domain_count; /* domainNames, of rules that accept */
	const char **domains;
	bool inert; /* asks for nodes, which match nothing yet */
};

struct cluster_port {
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _SCTP; 0: as the pod gives the name */
	const char *name; /* a port of the pod that receives; NULL: first to last */
	uint16_t first;	  /* 1 to 65535 where every port is meant */
	uint16_t last;
};

struct cluster_rule {
	enum cluster_action action;
	unsigned int index; /* place in spec.ingress or spec.egress */
	const char *name;   /* NULL: none */
	size_t peer_count;  /* 0: every address, of a rule that was closed */
	struct cluster_peer *peers;
	size_t port_count; /* 0: every protocol and port */
	struct cluster_port *ports;
};

struct cluster_rules {
	size_t count;
	struct cluster_rule *v;
};

struct cluster_policy {
	struct object base;
	bool baseline;	       /* tier kube-baseline; else kube-admin */
	unsigned int priority; /* lower comes first; 0 of BaselineAdminNetworkPolicy */
	struct cluster_pods subject;
	struct cluster_rules ingress;
	struct cluster_rules egress;
};

/* Of any of the three kinds; NULL: another. */
static inline const struct cluster_policy *cluster_policy_of(const struct object *object)
{
	if (!object ||
	    (object->kind != KIND_CLUSTER_NETWORK_POLICY && object->kind != KIND_ADMIN_POLICY &&
	     object->kind != KIND_BASELINE_ADMIN_POLICY))
		return NULL;
	return (const struct cluster_policy *)object;
}

#endif
