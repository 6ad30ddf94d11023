/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cnp.h"

#include <string.h>

#include "base/arena.h"
#include "policy/domains.h"
#include "policy/labels.h"
#include "policy/vec.h"

typedef VEC(struct rule) rule_vec;

static const struct selector *pods_selector(struct arena *arena, const struct cluster_pods *pods)
{
	const char *k8s = "k8s";
	const struct selector *where =
		selector_and(arena, selector_in(arena, TAG_ORCHESTRATOR, &k8s, 1),
			     selector_prefixed(arena, pods->namespaces, PREFIX_NAMESPACE));

	if (!pods->pods)
		return where;
	return selector_and(arena, where, selector_prefixed(arena, pods->pods, ""));
}

static struct rule_end end_of(struct policy *policy, const struct cluster_peer *peer)
{
	struct mg_prefix *nets = arena_array(policy->arena, peer->net_count, sizeof(*nets));

	if (peer->pods.namespaces)
		return (struct rule_end){ .selector = pods_selector(policy->arena, &peer->pods) };
	if (peer->domain_count)
		return (struct rule_end){ .domains = domain_text(policy->arena, peer->domains,
								 peer->domain_count) };
	if (peer->net_count)
		memcpy(nets, peer->nets, peer->net_count * sizeof(*nets));
	return (struct rule_end){
		.nets = { .net = nets, .count = peer->net_count, .given = true },
	};
}

/* --- ports --------------------------------------------------------------------------------- */

/* Those of one protocol, as one list. */
static struct rule_ports ports_of(struct arena *arena, const struct cluster_rule *from,
				  uint8_t protocol)
{
	struct rule_port *list = arena_array(arena, from->port_count, sizeof(*list));
	struct rule_ports ports = { .port = list };

	for (size_t i = 0; i < from->port_count; i++) {
		const struct cluster_port *port = &from->ports[i];

		if (port->protocol != protocol)
			continue;
		list[ports.count++] = (struct rule_port){
			.name = port->name ? arena_strdup(arena, port->name) : NULL,
			.first = port->first,
			.last = port->last,
		};
	}
	return ports;
}

static bool stands_for_more(const struct cluster_rule *from, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (from->ports[k].protocol == from->ports[i].protocol)
			return false;
	return true;
}

static void push_ports(struct policy *policy, const struct cluster_rule *from, struct rule rule,
		       rule_vec *rules)
{
	if (!from->port_count)
		vec_push(rules, rule);
	for (size_t i = 0; i < from->port_count; i++) {
		uint8_t protocol = from->ports[i].protocol;

		if (!stands_for_more(from, i))
			continue;
		rule.proto = protocol ? protocol : RULE_ANY;
		rule.dst.ports = ports_of(policy->arena, from, protocol);
		vec_push(rules, rule);
	}
}

/* --- rules --------------------------------------------------------------------------------- */

static enum rule_action action_of(enum cluster_action action)
{
	switch (action) {
	case CLUSTER_ACCEPT:
		return RULE_ALLOW;
	case CLUSTER_PASS:
		return RULE_PASS;
	case CLUSTER_DENY:
		break;
	}
	return RULE_DENY;
}

static void push_rule(struct policy *policy, const struct cluster_rule *from,
		      enum policy_direction direction, rule_vec *rules)
{
	struct rule rule = RULE_INIT;

	rule.action = action_of(from->action);
	rule.index = from->index;
	rule.text = from->name ? arena_strdup(policy->arena, from->name) : NULL;
	if (!from->peer_count)
		push_ports(policy, from, rule, rules);
	for (size_t i = 0; i < from->peer_count; i++) {
		if (from->peers[i].inert)
			continue;
		*(direction == POLICY_IN ? &rule.src : &rule.dst) = end_of(policy, &from->peers[i]);
		push_ports(policy, from, rule, rules);
	}
}

/* "CNPs with no ingress rules do not affect ingress traffic." */
static void set_rules(struct policy *policy, const struct cluster_rules *from,
		      enum policy_direction direction)
{
	rule_vec rules = {};
	struct rule *copy;

	policy->applies[direction] = from->count;
	for (size_t i = 0; i < from->count; i++)
		push_rule(policy, &from->v[i], direction, &rules);
	copy = arena_array(policy->arena, rules.n, sizeof(*copy));
	if (rules.n)
		memcpy(copy, rules.v, rules.n * sizeof(*copy));
	policy->rules[direction] = copy;
	policy->rule_count[direction] = rules.n;
	vec_done(&rules);
}

struct policy *cnp_policy(const struct cluster_policy *object)
{
	const struct kind_info *kind = kind_info(object->base.kind);
	const char *name = object->base.name, *uid = object->base.uid;
	_cleanup_free_ char *instead = xasprintf("%s %s", kind->kind, name);
	struct policy *policy = policy_new(kind->group, kind->kind, "", name, *uid ? uid : instead);

	policy->tier = object->baseline ? "kube-baseline" : "kube-admin";
	policy->order = object->priority;
	policy->selector = pods_selector(policy->arena, &object->subject);
	set_rules(policy, &object->ingress, POLICY_IN);
	set_rules(policy, &object->egress, POLICY_OUT);
	return policy;
}
