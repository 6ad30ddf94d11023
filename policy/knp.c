/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/knp.h"

#include <string.h>

#include "base/arena.h"
#include "policy/labels.h"
#include "policy/vec.h"

#define KNP_ORDER 1000

typedef VEC(struct rule) rule_vec;

static const struct selector *is(struct arena *arena, const char *key, const char *value)
{
	return selector_in(arena, key, &value, 1);
}

/* Selectors of the object, in the policy's arena and over an endpoint's labels. */
static const struct selector *peer_selector(struct policy *policy, const struct netpol_peer *peer)
{
	struct arena *arena = policy->arena;
	const struct selector *where = is(arena, LABEL_NAMESPACE, policy->namespace);

	if (peer->namespaces)
		where = selector_prefixed(arena, peer->namespaces, PREFIX_NAMESPACE);
	/* A network set is no pod. */
	where = selector_and(arena, is(arena, TAG_ORCHESTRATOR, "k8s"), where);
	if (!peer->pods)
		return where;
	return selector_and(arena, where, selector_prefixed(arena, peer->pods, ""));
}

static struct rule_nets nets_of(struct arena *arena, const struct mg_prefix *net, size_t count)
{
	struct mg_prefix *copy = arena_array(arena, count, sizeof(*copy));

	memcpy(copy, net, count * sizeof(*copy));
	return (struct rule_nets){ .net = copy, .count = count, .given = true };
}

static void set_peer(struct policy *policy, const struct netpol_peer *peer, struct rule_end *end)
{
	if (!peer->is_block) {
		end->selector = peer_selector(policy, peer);
		return;
	}
	end->nets = nets_of(policy->arena, &peer->block, 1);
	if (peer->except_count)
		end->not_nets = nets_of(policy->arena, peer->except, peer->except_count);
}

/* --- ports --------------------------------------------------------------------------------- */

/* Those of one protocol and kind, as one list. */
static struct rule_ports ports_of(struct arena *arena, const struct netpol_rule *from,
				  uint8_t protocol, enum netpol_port_kind kind)
{
	struct rule_port *list = arena_array(arena, from->port_count, sizeof(*list));
	struct rule_ports ports = { .port = list };

	for (size_t i = 0; i < from->port_count; i++) {
		const struct netpol_port *port = &from->ports[i];

		if (port->protocol != protocol || port->kind != kind)
			continue;
		list[ports.count++] = (struct rule_port){ .name = arena_strdup(arena, port->name),
							  .first = port->first,
							  .last = port->last };
	}
	return ports;
}

/* The first port of its protocol and kind stands for all of them. */
static bool stands_for_more(const struct netpol_rule *from, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (from->ports[k].protocol == from->ports[i].protocol &&
		    from->ports[k].kind == from->ports[i].kind)
			return false;
	return true;
}

static void push_ports(struct policy *policy, const struct netpol_rule *from, struct rule rule,
		       rule_vec *rules)
{
	if (!from->port_count)
		vec_push(rules, rule);
	for (size_t i = 0; i < from->port_count; i++) {
		const struct netpol_port *port = &from->ports[i];

		if (!stands_for_more(from, i))
			continue;
		rule.proto = port->protocol;
		rule.dst.ports = (struct rule_ports){};
		if (port->kind != NETPOL_PORT_ANY)
			rule.dst.ports = ports_of(policy->arena, from, port->protocol, port->kind);
		vec_push(rules, rule);
	}
}

static void push_rule(struct policy *policy, const struct netpol_rule *from,
		      enum policy_direction direction, rule_vec *rules)
{
	struct rule rule = RULE_INIT;

	rule.action = RULE_ALLOW;
	rule.index = from->index;
	if (!from->peer_count)
		push_ports(policy, from, rule, rules);
	for (size_t i = 0; i < from->peer_count; i++) {
		struct rule_end end = {};

		set_peer(policy, &from->peers[i], &end);
		if (direction == POLICY_IN)
			rule.src = end;
		else
			rule.dst = end;
		push_ports(policy, from, rule, rules);
	}
}

static void set_rules(struct policy *policy, const struct netpol_rules *from,
		      enum policy_direction direction)
{
	rule_vec rules = {};
	struct rule *copy;

	policy->applies[direction] = true;
	for (size_t i = 0; i < from->count; i++)
		push_rule(policy, &from->v[i], direction, &rules);
	copy = arena_array(policy->arena, rules.n, sizeof(*copy));
	if (rules.n)
		memcpy(copy, rules.v, rules.n * sizeof(*copy));
	policy->rules[direction] = copy;
	policy->rule_count[direction] = rules.n;
	vec_done(&rules);
}

static enum policy_staged staged_of(const struct network_policy *object)
{
	if (object->base.kind == KIND_NETWORK_POLICY)
		return POLICY_ENFORCED;
	return object->staged == CALICO_DELETE ? POLICY_STAGED_DELETE : POLICY_STAGED_SET;
}

struct policy *knp_policy(const struct network_policy *object)
{
	const char *ns = object->base.ns, *name = object->base.name, *uid = object->base.uid;
	const struct kind_info *kind = kind_info(object->base.kind);
	_cleanup_free_ char *instead = xasprintf("%s %s/%s", kind->kind, ns, name);
	struct policy *policy;
	struct arena *arena;

	if (object->staged == CALICO_LEARN || object->staged == CALICO_IGNORE)
		return NULL;
	policy = policy_new(kind->group, kind->kind, ns, name, *uid ? uid : instead);
	arena = policy->arena;
	policy->order = KNP_ORDER;
	policy->staged = staged_of(object);
	policy->selector = selector_and(arena, is(arena, LABEL_NAMESPACE, ns),
					selector_prefixed(arena, object->pods, ""));
	if (object->types & NETPOL_INGRESS)
		set_rules(policy, &object->ingress, POLICY_IN);
	if (object->types & NETPOL_EGRESS)
		set_rules(policy, &object->egress, POLICY_OUT);
	return policy;
}
