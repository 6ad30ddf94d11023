/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/oracle.h"

#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"

/* "PodSelector: selects the pods to which this NetworkPolicy object applies", those of its
 * namespace. */
static bool applies_to(const struct network_policy *policy, const struct oracle_pod *pod)
{
	return !strcmp(policy->base.ns, pod->ns) && labels_match(pod->labels, policy->pods);
}

/* A namespace always has the label kubernetes.io/metadata.name. */
static bool namespace_matches(const struct oracle_pod *pod, const struct selector *selector)
{
	struct label name = { LABEL_METADATA_NAME, pod->ns };
	struct labels only_name = { 1, &name };

	return labels_match(pod->ns_labels ? pod->ns_labels : &only_name, selector);
}

static const struct oracle_pod *owner_of(const struct oracle_world *world,
					 const union mg_addr *addr)
{
	for (size_t i = 0; i < world->pod_count; i++)
		for (size_t k = 0; k < world->pods[i].ip_count; k++)
			if (!addr_cmp(&world->pods[i].ips[k], addr))
				return &world->pods[i];
	return NULL;
}

/* --- peers --------------------------------------------------------------------------------- */

/* IPv4 is stored inside IPv6's range but is no part of it. */
static bool block_has(const struct mg_prefix *block, const union mg_addr *addr)
{
	return prefix_is4(block) == addr_is4(addr) && prefix_contains(block, addr);
}

static bool in_block(const struct netpol_peer *peer, const union mg_addr *addr)
{
	if (!block_has(&peer->block, addr))
		return false;
	for (size_t i = 0; i < peer->except_count; i++)
		if (block_has(&peer->except[i], addr))
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

static bool rules_allow(const struct oracle_world *world, const struct network_policy *policy,
			enum policy_direction direction, const struct oracle_packet *packet)
{
	bool in = direction == POLICY_IN;
	const struct netpol_rules *rules = in ? &policy->ingress : &policy->egress;
	const union mg_addr *far = in ? &packet->src : &packet->dst;
	const struct oracle_pod *peer = owner_of(world, far),
				*receiver = owner_of(world, &packet->dst);

	for (size_t i = 0; i < rules->count; i++)
		if (peers_match(policy, &rules->v[i], far, peer) &&
		    ports_match(&rules->v[i], packet, receiver))
			return true;
	return false;
}

bool oracle_allows(const struct oracle_world *world, const struct oracle_pod *pod,
		   enum policy_direction direction, const struct oracle_packet *packet)
{
	unsigned int type = direction == POLICY_IN ? NETPOL_INGRESS : NETPOL_EGRESS;
	bool isolated = false;

	for (size_t i = 0; i < world->policy_count; i++) {
		const struct network_policy *policy = world->policies[i];

		if (!(policy->types & type) || !applies_to(policy, pod))
			continue;
		isolated = true;
		if (rules_allow(world, policy, direction, packet))
			return true;
	}
	return !isolated;
}
