/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkPolicy (networking.k8s.io/v1). */
#include <netinet/in.h>
#include <string.h>

#include "model/netpol.h"
#include "policy/oracle.h"

/* "PodSelector: selects the pods to which this NetworkPolicy object applies", those of its
 * namespace. */
bool oracle_knp_applies(const struct network_policy *policy, const struct oracle_question *q)
{
	unsigned int type = q->direction == POLICY_IN ? NETPOL_INGRESS : NETPOL_EGRESS;

	return policy->types & type && !strcmp(policy->base.ns, q->pod->ns) &&
	       labels_match(q->pod->labels, policy->pods);
}

/* A namespace always has the label kubernetes.io/metadata.name. */
static bool namespace_matches(const struct oracle_pod *pod, const struct selector *selector)
{
	struct label name = { LABEL_METADATA_NAME, pod->ns };
	struct labels only_name = { 1, &name };

	return labels_match(pod->ns_labels ? pod->ns_labels : &only_name, selector);
}

/* --- peers --------------------------------------------------------------------------------- */

static bool in_block(const struct netpol_peer *peer, const union mg_addr *addr)
{
	if (!oracle_in_net(&peer->block, addr))
		return false;
	for (size_t i = 0; i < peer->except_count; i++)
		if (oracle_in_net(&peer->except[i], addr))
			return false;
	return true;
}

static bool peer_matches(const struct network_policy *policy, const struct netpol_peer *peer,
			 const union mg_addr *addr, const struct oracle_pod *pod)
{
	if (peer->is_block)
		return in_block(peer, addr);
	if (!pod)
		return false;
	if (peer->namespaces) {
		if (!namespace_matches(pod, peer->namespaces))
			return false;
	} else if (strcmp(pod->ns, policy->base.ns)) {
		return false;
	}
	return !peer->pods || labels_match(pod->labels, peer->pods);
}

/* "If this field is empty or missing, this rule matches all sources." */
static bool peers_match(const struct network_policy *policy, const struct netpol_rule *rule,
			const union mg_addr *addr, const struct oracle_pod *pod)
{
	for (size_t i = 0; i < rule->peer_count; i++)
		if (peer_matches(policy, &rule->peers[i], addr, pod))
			return true;
	return !rule->peer_count;
}

/* --- ports --------------------------------------------------------------------------------- */

static bool names_port(const struct oracle_pod *receiver, const struct netpol_port *port,
		       uint16_t number)
{
	for (size_t i = 0; receiver && i < receiver->port_count; i++) {
		const struct pod_port *named = &receiver->ports[i];

		if (named->name && !strcmp(named->name, port->name) &&
		    named->protocol == port->protocol && named->port == number)
			return true;
	}
	return false;
}

static bool port_matches(const struct netpol_port *port, const struct oracle_packet *packet,
			 const struct oracle_pod *receiver)
{
	if (port->protocol != packet->proto)
		return false;
	switch (port->kind) {
	case NETPOL_PORT_ANY:
		return true;
	case NETPOL_PORT_NUMBER:
		return packet->dport >= port->first && packet->dport <= port->last;
	case NETPOL_PORT_NAME:
		return names_port(receiver, port, packet->dport);
	}
	return false;
}

/* "If this field is empty or missing, this rule matches all ports (traffic not restricted by
 * port)": every protocol. */
static bool ports_match(const struct netpol_rule *rule, const struct oracle_packet *packet,
			const struct oracle_pod *receiver)
{
	for (size_t i = 0; i < rule->port_count; i++)
		if (port_matches(&rule->ports[i], packet, receiver))
			return true;
	return !rule->port_count;
}

/* --- verdict ------------------------------------------------------------------------------- */

/* Rules only ever allow; what no rule of any policy allows is denied at the end. */
enum oracle_answer oracle_knp_judge(const struct network_policy *policy,
				    const struct oracle_question *q)
{
	bool in = q->direction == POLICY_IN;
	const struct netpol_rules *rules = in ? &policy->ingress : &policy->egress;
	const union mg_addr *far = in ? &q->packet->src : &q->packet->dst;
	const struct oracle_pod *peer = oracle_owner(q->world, far);
	const struct oracle_pod *receiver = oracle_owner(q->world, &q->packet->dst);

	for (size_t i = 0; i < rules->count; i++)
		if (peers_match(policy, &rules->v[i], far, peer) &&
		    ports_match(&rules->v[i], q->packet, receiver))
			return ORACLE_ALLOW;
	return ORACLE_NO_MATCH;
}
