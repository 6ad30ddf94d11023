/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkPolicy and GlobalNetworkPolicy (projectcalico.org/v3): NetworkPolicySpec, Rule,
 * EntityRule and what they say of network sets.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"
#include "model/calico.h"
#include "policy/oracle.h"

/* --- who an address is --------------------------------------------------------------------- */

/* A pod, or a network set: whoever has labels. */
struct bearer {
	const char *ns; /* "": in no namespace */
	const struct labels *labels;
	const struct labels *ns_labels;
	const char *account;
	const struct labels *account_labels;
	bool is_pod;
};

static struct bearer pod_bearer(const struct oracle_pod *pod)
{
	return (struct bearer){ pod->ns,      pod->labels,	   pod->ns_labels,
				pod->account, pod->account_labels, true };
}

static struct bearer host_bearer(const struct oracle_host *host)
{
	return (struct bearer){ .ns = "", .labels = host->labels };
}

static const char *get(const struct labels *labels, const char *key)
{
	return labels ? labels_get(labels, key) : NULL;
}

static const char *namespace_label(void *ctx, const char *key)
{
	const struct bearer *bearer = ctx;

	if (!strcmp(key, "projectcalico.org/name") || !strcmp(key, LABEL_METADATA_NAME))
		return bearer->ns;
	return get(bearer->ns_labels, key);
}

static const char *account_label(void *ctx, const char *key)
{
	const struct bearer *bearer = ctx;

	if (!strcmp(key, "projectcalico.org/name"))
		return bearer->account;
	return get(bearer->account_labels, key);
}

/* What a selector can ask: own labels, and what stands for namespace and service account. */
static const char *own_label(void *ctx, const char *key)
{
	const struct bearer *bearer = ctx;

	if (!strcmp(key, "projectcalico.org/namespace"))
		return *bearer->ns ? bearer->ns : NULL;
	if (!strcmp(key, "projectcalico.org/orchestrator"))
		return bearer->is_pod ? "k8s" : NULL;
	if (!strcmp(key, "projectcalico.org/serviceaccount"))
		return bearer->account;
	if (!strncmp(key, "pcns.", 5))
		return *bearer->ns ? namespace_label(ctx, key + 5) : NULL;
	if (!strncmp(key, "pcsa.", 5))
		return bearer->account ? account_label(ctx, key + 5) : NULL;
	return get(bearer->labels, key);
}

static bool own_holds(const struct bearer *bearer, const struct selector *selector)
{
	return !selector || selector_eval(selector, own_label, (void *)bearer);
}

/* global() is what is in no namespace; anything else asks for a namespace's labels. */
static bool namespace_holds(const struct bearer *bearer, const struct selector *selector)
{
	if (!selector)
		return true;
	if (selector->op == SELECTOR_GLOBAL)
		return !*bearer->ns;
	return *bearer->ns && selector_eval(selector, namespace_label, (void *)bearer);
}

/* "names: ... running as a service account whose name is in the list"; both are ANDed. */
static bool account_holds(const struct bearer *bearer, const struct calico_accounts *accounts)
{
	bool named = !accounts->count;

	if (!accounts->count && !accounts->selector)
		return true;
	if (!bearer->account)
		return false;
	for (size_t i = 0; i < accounts->count; i++)
		named |= !strcmp(accounts->names[i], bearer->account);
	return named && (!accounts->selector ||
			 selector_eval(accounts->selector, account_label, (void *)bearer));
}

/* --- which endpoints a policy applies to ---------------------------------------------------- */

/* "doNotTrack", "preDNAT", "applyOnForward"; of pods' policies nothing but the rest applies. */
static bool is_of_stage(const struct calico_policy *policy, const struct oracle_question *q)
{
	if (policy->do_not_track)
		return q->host &&
		       (q->stage == MG_STAGE_UNTRACKED_IN || q->stage == MG_STAGE_UNTRACKED_OUT);
	if (policy->pre_dnat)
		return q->host && q->stage == MG_STAGE_PREDNAT;
	if (!q->host || q->stage == MG_STAGE_NORMAL_IN || q->stage == MG_STAGE_NORMAL_OUT)
		return true;
	return policy->apply_on_forward &&
	       (q->stage == MG_STAGE_FORWARD_IN || q->stage == MG_STAGE_FORWARD_OUT);
}

bool oracle_calico_applies(const struct calico_policy *policy, const struct oracle_question *q)
{
	unsigned int type = q->direction == POLICY_IN ? CALICO_INGRESS : CALICO_EGRESS;
	const struct calico_accounts accounts = { .selector = policy->accounts };
	const struct bearer bearer = q->host ? host_bearer(q->host) : pod_bearer(q->pod);

	if (!(policy->types & type) || !is_of_stage(policy, q))
		return false;
	if (*policy->base.ns && strcmp(policy->base.ns, bearer.ns))
		return false;
	return own_holds(&bearer, policy->selector) &&
	       namespace_holds(&bearer, policy->namespaces) && account_holds(&bearer, &accounts);
}

/* --- one end of a rule ---------------------------------------------------------------------- */

struct end {
	const struct oracle_question *q;
	const struct calico_policy *policy;
	const struct calico_entity *entity;
	const union mg_addr *addr;
	bool is_dst;
	bool allows_out; /* of an egress rule that allows */
};

static bool selects(const struct end *end, const struct bearer *bearer)
{
	const struct calico_entity *entity = end->entity;

	if (!entity->namespaces && *end->policy->base.ns &&
	    strcmp(end->policy->base.ns, bearer->ns))
		return false;
	return own_holds(bearer, entity->selector) && namespace_holds(bearer, entity->namespaces) &&
	       account_holds(bearer, &entity->accounts);
}

/* Does it hold for the pod that has the address, or a network set that the address is in? */
static bool any_bearer(const struct end *end,
		       bool (*holds)(const struct end *, const struct bearer *))
{
	const struct oracle_world *world = end->q->world;
	const struct oracle_pod *pod = oracle_owner(world, end->addr);
	struct bearer bearer;

	if (pod) {
		bearer = pod_bearer(pod);
		if (holds(end, &bearer))
			return true;
	}
	for (size_t i = 0; i < world->host_count; i++) {
		bearer = host_bearer(&world->hosts[i]);
		for (size_t k = 0; k < world->hosts[i].ip_count; k++)
			if (!addr_cmp(&world->hosts[i].ips[k], end->addr) && holds(end, &bearer))
				return true;
	}
	for (size_t i = 0; i < world->set_count; i++) {
		const struct network_set *set = world->sets[i].object;

		bearer = (struct bearer){ .ns = set->base.ns,
					  .labels = &set->base.labels,
					  .ns_labels = world->sets[i].ns_labels };
		for (size_t k = 0; k < set->net_count; k++)
			if (oracle_in_net(&set->nets[k], end->addr) && holds(end, &bearer))
				return true;
		/* "honored in egress allow rules only": where addresses are named to be allowed */
		if (end->allows_out && end->is_dst && holds == selects &&
		    oracle_in_domains(world, set->domains, set->domain_count, end->addr) &&
		    holds(end, &bearer))
			return true;
	}
	return false;
}

static bool is_excluded(const struct end *end, const struct bearer *bearer)
{
	return own_holds(bearer, end->entity->not_selector);
}

/* An end with any of the selectors means endpoints (and sets); in a namespace, of its own where
 * no namespaceSelector is given. */
static bool asks_labels(const struct end *end)
{
	const struct calico_entity *entity = end->entity;

	return entity->selector || entity->namespaces || entity->accounts.count ||
	       entity->accounts.selector || (entity->not_selector && *end->policy->base.ns);
}

static bool in_nets(const struct mg_prefix *net, size_t count, const union mg_addr *addr)
{
	for (size_t i = 0; i < count; i++)
		if (oracle_in_net(&net[i], addr))
			return true;
	return false;
}

/* An address of a pool that nobody is known to have (yet): it may be a pod with any labels. */
static bool is_unknown(const struct oracle_world *world, const union mg_addr *addr)
{
	return !oracle_owner(world, addr) && in_nets(world->pools, world->pool_count, addr);
}

/* --- ports and services --------------------------------------------------------------------- */

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

/* A name is a port of the endpoint that has the address, if the end's selectors hold for it. */
static bool named(const struct end *end, const char *name, uint16_t port)
{
	const struct oracle_pod *pod = oracle_owner(end->q->world, end->addr);
	struct bearer bearer;

	if (!pod)
		return false;
	bearer = pod_bearer(pod);
	if (asks_labels(end) && !selects(end, &bearer))
		return false;
	for (size_t i = 0; i < pod->port_count; i++)
		if (pod->ports[i].name && !strcmp(pod->ports[i].name, name) &&
		    pod->ports[i].protocol == end->q->packet->proto && pod->ports[i].port == port)
			return true;
	return false;
}

static bool in_ports(const struct end *end, const struct calico_port *ports, size_t count)
{
	uint16_t port = end->is_dst ? end->q->packet->dport : end->q->packet->sport;

	if (!has_ports(end->q->packet->proto))
		return false;
	for (size_t i = 0; i < count; i++)
		if (ports[i].name ? named(end, ports[i].name, port)
				  : port >= ports[i].first && port <= ports[i].last)
			return true;
	return false;
}

static bool any_named(const struct calico_port *ports, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ports[i].name)
			return true;
	return false;
}

/* "When ports is empty, it indicates that there are no defined ports. When a port is defined with a
 * nil port value, it indicates 'all ports'" (EndpointSlice). */
static bool slice_takes(const struct end *end, const struct endpoint_slice *slice)
{
	const struct oracle_packet *packet = end->q->packet;

	for (size_t p = 0; p < slice->port_count; p++)
		if (slice->ports[p].protocol == packet->proto &&
		    (!slice->ports[p].port || slice->ports[p].port == packet->dport))
			return true;
	return false;
}

static bool slice_has(const struct end *end, const struct endpoint_slice *slice)
{
	for (size_t i = 0; i < slice->endpoint_count; i++)
		for (size_t k = 0; k < slice->endpoints[i].addr_count; k++)
			if (!addr_cmp(&slice->endpoints[i].addrs[k], end->addr))
				return !end->is_dst || slice_takes(end, slice);
	return false;
}

/* "only traffic that originates from or terminates at endpoints within the selected service will
 * be matched, and only to each endpoint's port". */
static bool in_service(const struct end *end)
{
	const struct calico_service *service = &end->entity->service;
	const char *ns = service->ns ? service->ns : end->policy->base.ns;

	for (size_t i = 0; i < end->q->world->slice_count; i++) {
		const struct endpoint_slice *slice = end->q->world->slices[i];

		if (!strcmp(slice->service, service->name) && !strcmp(slice->base.ns, ns) &&
		    slice_has(end, slice))
			return true;
	}
	return false;
}

static bool end_matches(const struct end *end)
{
	const struct calico_entity *e = end->entity;

	if (is_unknown(end->q->world, end->addr) &&
	    (e->not_selector || any_named(e->ports, e->port_count) ||
	     any_named(e->not_ports, e->not_port_count)))
		return false;
	if (asks_labels(end) && !any_bearer(end, selects))
		return false;
	if (e->not_selector && any_bearer(end, is_excluded))
		return false;
	if (e->net_count && !in_nets(e->nets, e->net_count, end->addr))
		return false;
	if (in_nets(e->not_nets, e->not_net_count, end->addr))
		return false;
	if (e->service.name && !in_service(end))
		return false;
	if (e->domain_count &&
	    !oracle_in_domains(end->q->world, e->domains, e->domain_count, end->addr))
		return false;
	if (e->port_count && !in_ports(end, e->ports, e->port_count))
		return false;
	return !in_ports(end, e->not_ports, e->not_port_count);
}

/* --- the rule ------------------------------------------------------------------------------- */

static bool is_icmp(const struct oracle_packet *packet, const struct calico_icmp *icmp)
{
	return (packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6) &&
	       packet->icmp_type == icmp->type &&
	       (icmp->code == CALICO_ANY || packet->icmp_code == icmp->code);
}

static bool packet_matches(const struct calico_rule *rule, const struct oracle_packet *packet)
{
	if (rule->inert)
		return false;
	if (rule->ip_version && (rule->ip_version == 4) != addr_is4(&packet->dst))
		return false;
	if (rule->protocol != CALICO_ANY && rule->protocol != packet->proto)
		return false;
	if (rule->not_protocol == packet->proto)
		return false;
	if (rule->icmp.type != CALICO_ANY && !is_icmp(packet, &rule->icmp))
		return false;
	return rule->not_icmp.type == CALICO_ANY || !is_icmp(packet, &rule->not_icmp);
}

static bool rule_matches(const struct calico_policy *policy, const struct calico_rule *rule,
			 const struct oracle_question *q)
{
	bool allows_out = q->direction == POLICY_OUT && rule->action == CALICO_ALLOW;
	const struct end src = { q, policy, &rule->source, &q->packet->src, false, allows_out };
	const struct end dst = { q, policy, &rule->destination, &q->packet->dst, true, allows_out };

	return packet_matches(rule, q->packet) && end_matches(&src) && end_matches(&dst);
}

enum oracle_answer oracle_calico_judge(const struct calico_policy *policy,
				       const struct oracle_question *q)
{
	const struct calico_rules *rules =
		q->direction == POLICY_IN ? &policy->ingress : &policy->egress;

	for (size_t i = 0; i < rules->count; i++) {
		if (!rule_matches(policy, &rules->v[i], q))
			continue;
		switch (rules->v[i].action) {
		case CALICO_ALLOW:
			return ORACLE_ALLOW;
		case CALICO_DENY:
			return ORACLE_DENY;
		case CALICO_PASS:
			return ORACLE_PASS;
		case CALICO_LOG:
			break;
		}
	}
	return ORACLE_NO_MATCH;
}
