/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: a naive evaluator of NetworkPolicy, written straight from the API's text
 * (Kubernetes API reference, NetworkPolicySpec and following), to judge the engine by. It walks
 * every policy, rule and peer for every packet and shares nothing with the engine but the
 * decoded objects and the evaluation of one selector on one set of labels.
 */
#ifndef MARGAY_POLICY_ORACLE_H
#define MARGAY_POLICY_ORACLE_H

#include "model/netpol.h"
#include "model/pod.h"
#include "policy/rule.h"

struct oracle_pod {
	const char *ns;
	const struct labels *labels;
	const struct labels *ns_labels; /* of the namespace's object; NULL: there is none */
	const union mg_addr *ips;
	size_t ip_count;
	const struct pod_port *ports;
	size_t port_count;
};

struct oracle_world {
	const struct oracle_pod *pods; /* that can be peers: no host network, not completed */
	size_t pod_count;
	const struct network_policy *const *policies;
	size_t policy_count;
};

struct oracle_packet {
	union mg_addr src;
	union mg_addr dst;
	uint8_t proto;
	uint16_t sport; /* host order; 0 where the protocol has none */
	uint16_t dport;
};

/* May the pod send (POLICY_OUT) or receive (POLICY_IN) the first packet of this connection? */
bool oracle_allows(const struct oracle_world *world, const struct oracle_pod *pod,
		   enum policy_direction direction, const struct oracle_packet *packet);

#endif
