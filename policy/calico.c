/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/calico.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "policy/domains.h"
#include "policy/labels.h"
#include "policy/vec.h"

typedef VEC(struct rule) rule_vec;

/* --- selectors ----------------------------------------------------------------------------- */

static const struct selector *both(struct arena *arena, const struct selector *a,
				   const struct selector *b)
{
	if (!a || !b)
		return a ? a : b;
	return selector_and(arena, a, b);
}

/* NULL stays NULL. */
static const struct selector *copied(struct arena *arena, const struct selector *selector,
				     const char *prefix)
{
	return selector ? selector_prefixed(arena, selector, prefix) : NULL;
}

static const struct selector *namespaces(struct arena *arena, const struct selector *selector)
{
	if (!selector)
		return NULL;
	if (selector->op == SELECTOR_GLOBAL)
		return selector_not(arena, selector_has(arena, LABEL_NAMESPACE));
	return both(arena, selector_has(arena, LABEL_NAMESPACE),
		    copied(arena, selector, PREFIX_NAMESPACE));
}

static const struct selector *accounts(struct arena *arena, const struct calico_accounts *from)
{
	const struct selector *names = NULL;

	if (from->count)
		names = selector_in(arena, TAG_SERVICE_ACCOUNT, from->names, from->count);
	if (!from->selector)
		return names;
	return both(arena, names ? names : selector_has(arena, TAG_SERVICE_ACCOUNT),
		    copied(arena, from->selector, PREFIX_SERVICE_ACCOUNT));
}

static const struct selector *entity_selector(struct policy *policy,
					      const struct calico_entity *entity)
{
	struct arena *arena = policy->arena;
	const struct selector *where = namespaces(arena, entity->namespaces);
	const struct selector *what = both(arena, copied(arena, entity->selector, ""),
					   accounts(arena, &entity->accounts));

	if (!where && *policy->namespace && (what || entity->not_selector))
		where = selector_in(arena, LABEL_NAMESPACE, &policy->namespace, 1);
	return both(arena, where, what);
}

/* Endpoints that the policy applies to. */
static const struct selector *policy_selector(struct policy *policy,
					      const struct calico_policy *object)
{
	struct arena *arena = policy->arena;
	const struct calico_accounts with = { .selector = object->accounts };
	const struct selector *where = namespaces(arena, object->namespaces);

	if (*policy->namespace)
		where = selector_in(arena, LABEL_NAMESPACE, &policy->namespace, 1);
	return both(arena, both(arena, where, copied(arena, object->selector, "")),
		    accounts(arena, &with));
}

/* --- ends ---------------------------------------------------------------------------------- */

static struct rule_nets nets_of(struct arena *arena, const struct mg_prefix *net, size_t count)
{
	struct mg_prefix *copy = arena_array(arena, count, sizeof(*copy));

	if (count)
		memcpy(copy, net, count * sizeof(*copy));
	return (struct rule_nets){ .net = copy, .count = count, .given = count };
}

static struct rule_ports ports_of(struct arena *arena, const struct calico_port *from, size_t count)
{
	struct rule_port *list = arena_array(arena, count, sizeof(*list));

	for (size_t i = 0; i < count; i++)
		list[i] = (struct rule_port){
			.name = from[i].name ? arena_strdup(arena, from[i].name) : NULL,
			.first = from[i].first,
			.last = from[i].last,
		};
	return (struct rule_ports){ .port = list, .count = count };
}

static struct rule_end end_of(struct policy *policy, const struct calico_entity *entity)
{
	struct arena *arena = policy->arena;
	const struct calico_service *service = &entity->service;
	struct rule_end end = {
		.selector = entity_selector(policy, entity),
		.not_selector = copied(arena, entity->not_selector, ""),
		.nets = nets_of(arena, entity->nets, entity->net_count),
		.not_nets = nets_of(arena, entity->not_nets, entity->not_net_count),
		.ports = ports_of(arena, entity->ports, entity->port_count),
		.not_ports = ports_of(arena, entity->not_ports, entity->not_port_count),
	};

	if (entity->domain_count)
		end.domains = domain_text(arena, entity->domains, entity->domain_count);
	if (service->name)
		end.service =
			arena_printf(arena, "%s/%s", service->ns ? service->ns : policy->namespace,
				     service->name);
	return end;
}

/* --- rules --------------------------------------------------------------------------------- */

static enum rule_action action_of(enum calico_action action)
{
	switch (action) {
	case CALICO_ALLOW:
		return RULE_ALLOW;
	case CALICO_LOG:
		return RULE_LOG;
	case CALICO_PASS:
		return RULE_PASS;
	case CALICO_DENY:
		break;
	}
	return RULE_DENY;
}

/* metadata.annotations, for who reads which rule decided. */
static const char *text_of(struct arena *arena, const struct labels *annotations)
{
	const char *text = NULL;

	for (size_t i = 0; i < annotations->count; i++)
		text = arena_printf(arena, "%s%s%s=%s", text ? text : "", text ? " " : "",
				    annotations->v[i].key, annotations->v[i].value);
	return text;
}

static struct rule rule_of(struct policy *policy, const struct calico_rule *from)
{
	return (struct rule){
		.action = action_of(from->action),
		.index = from->index,
		.ip_version = from->ip_version,
		.proto = from->protocol,
		.not_proto = from->not_protocol,
		.icmp_type = from->icmp.type,
		.icmp_code = from->icmp.code,
		.not_icmp_type = from->not_icmp.type,
		.not_icmp_code = from->not_icmp.code,
		.src = end_of(policy, &from->source),
		.dst = end_of(policy, &from->destination),
		.text = text_of(policy->arena, &from->annotations),
	};
}

static void set_rules(struct policy *policy, const struct calico_rules *from,
		      enum policy_direction direction)
{
	struct rule *rules = arena_array(policy->arena, from->count, sizeof(*rules));

	policy->applies[direction] = true;
	policy->rules[direction] = rules;
	for (size_t i = 0; i < from->count; i++)
		if (!from->v[i].inert)
			rules[policy->rule_count[direction]++] = rule_of(policy, &from->v[i]);
}

/* --- the policy ---------------------------------------------------------------------------- */

static uint32_t stages_of(const struct calico_policy *object)
{
	if (object->do_not_track)
		return POLICY_AT_UNTRACKED;
	if (object->pre_dnat)
		return POLICY_AT_PREDNAT;
	return POLICY_AT_NORMAL | (object->apply_on_forward ? POLICY_AT_FORWARD : 0);
}

static bool is_staged(const struct calico_policy *object)
{
	return object->base.kind == KIND_STAGED_POLICY ||
	       object->base.kind == KIND_STAGED_GLOBAL_POLICY;
}

static enum policy_staged staged_of(const struct calico_policy *object)
{
	if (!is_staged(object))
		return POLICY_ENFORCED;
	return object->staged == CALICO_DELETE ? POLICY_STAGED_DELETE : POLICY_STAGED_SET;
}

struct policy *calico_policy(const struct calico_policy *object)
{
	const struct kind_info *kind = kind_info(object->base.kind);
	const char *ns = object->base.ns, *name = object->base.name, *uid = object->base.uid;
	_cleanup_free_ char *instead = xasprintf("%s %s/%s", kind->kind, ns, name);
	struct policy *policy;

	if (is_staged(object) &&
	    (object->staged == CALICO_LEARN || object->staged == CALICO_IGNORE))
		return NULL;
	policy = policy_new(kind->group, kind->kind, ns, name, *uid ? uid : instead);
	policy->tier = arena_strdup(policy->arena, object->tier);
	policy->order = object->order;
	policy->stages = stages_of(object);
	policy->staged = staged_of(object);
	policy->selector = policy_selector(policy, object);
	if (object->types & CALICO_INGRESS)
		set_rules(policy, &object->ingress, POLICY_IN);
	if (object->types & CALICO_EGRESS && !object->pre_dnat)
		set_rules(policy, &object->egress, POLICY_OUT);
	return policy;
}
