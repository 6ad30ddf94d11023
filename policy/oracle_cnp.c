/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy (policy.networking.k8s.io).
 */
#include <string.h>

#include "model/cluster_policy.h"
#include "policy/oracle.h"

/* "pods within a set of Namespaces"; a namespace always has its name's label. */
static bool is_among(const struct cluster_pods *pods, const struct oracle_pod *pod)
{
	struct label name = { LABEL_METADATA_NAME, pod->ns };
	struct labels only_name = { 1, &name };

	return labels_match(pod->ns_labels ? pod->ns_labels : &only_name, pods->namespaces) &&
	       (!pods->pods || labels_match(pod->labels, pods->pods));
}

/* "CNPs with no ingress rules do not affect ingress traffic", egress likewise. */
bool oracle_cnp_applies(const struct cluster_policy *policy, const struct oracle_question *q)
{
	const struct cluster_rules *rules =
		q->direction == POLICY_IN ? &policy->ingress : &policy->egress;

	return rules->count && is_among(&policy->subject, q->pod);
}

static bool peer_matches(const struct cluster_peer *peer, const struct oracle_world *world,
			 const struct oracle_pod *pod, const union mg_addr *addr)
{
	if (peer->pods.namespaces)
		return pod && is_among(&peer->pods, pod);
	if (oracle_in_domains(world, peer->domains, peer->domain_count, addr))
		return true;
	for (size_t i = 0; i < peer->net_count; i++)
		if (oracle_in_net(&peer->nets[i], addr))
			return true;
	return false;
}

static bool peers_match(const struct cluster_rule *rule, const struct oracle_world *world,
			const struct oracle_pod *pod, const union mg_addr *addr)
{
	for (size_t i = 0; i < rule->peer_count; i++)
		if (peer_matches(&rule->peers[i], world, pod, addr))
			return true;
	return !rule->peer_count;
}

static bool names_port(const struct oracle_pod *receiver, const char *name,
		       const struct oracle_packet *packet)
{
	for (size_t i = 0; receiver && i < receiver->port_count; i++)
		if (receiver->ports[i].name && !strcmp(receiver->ports[i].name, name) &&
		    receiver->ports[i].protocol == packet->proto &&
		    receiver->ports[i].port == packet->dport)
			return true;
	return false;
}

static bool ports_match(const struct cluster_rule *rule, const struct oracle_pod *receiver,
			const struct oracle_packet *packet)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct cluster_port *port = &rule->ports[i];

		if (port->name ? names_port(receiver, port->name, packet)
			       : port->protocol == packet->proto && packet->dport >= port->first &&
					 packet->dport <= port->last)
			return true;
	}
	return !rule->port_count;
}

enum oracle_answer oracle_cnp_judge(const struct cluster_policy *policy,
				    const struct oracle_question *q)
{
	bool in = q->direction == POLICY_IN;
	const struct cluster_rules *rules = in ? &policy->ingress : &policy->egress;
	const union mg_addr *far = in ? &q->packet->src : &q->packet->dst;
	const struct oracle_pod *peer = oracle_owner(q->world, far);
	const struct oracle_pod *receiver = oracle_owner(q->world, &q->packet->dst);

	for (size_t i = 0; i < rules->count; i++) {
		if (!peers_match(&rules->v[i], q->world, peer, far) ||
		    !ports_match(&rules->v[i], receiver, q->packet))
			continue;
		switch (rules->v[i].action) {
		case CLUSTER_ACCEPT:
			return ORACLE_ALLOW;
		case CLUSTER_DENY:
			return ORACLE_DENY;
		case CLUSTER_PASS:
			return ORACLE_PASS;
		}
	}
	return ORACLE_NO_MATCH;
}
