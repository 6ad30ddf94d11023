/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The near end of a policy's rules: the local endpoint.
 */
#include <string.h>

#include "base/inet.h"
#include "model/selector.h"
#include "policy/compile.h"

static const struct rule_end *near_of(const struct rule *rule, enum policy_direction direction)
{
	return direction == POLICY_IN ? &rule->dst : &rule->src;
}

static bool has_names(const struct rule_ports *ports)
{
	for (unsigned int i = 0; i < ports->count; i++)
		if (ports->port[i].name)
			return true;
	return false;
}

static bool asks(const struct rule_end *end)
{
	return end->selector || end->not_selector || end->nets.given || end->not_nets.given ||
	       has_names(&end->ports) || has_names(&end->not_ports);
}

static bool in_nets(const struct rule_nets *nets, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < nets->count; i++) {
		const struct mg_prefix *net = &nets->net[i];

		/* ::/0 and the like say nothing of IPv4, though it is stored inside it. */
		if (prefix_contains(net, addr) &&
		    (!addr_is4(addr) || net->len >= MG_V4_PREFIX_BITS))
			return true;
	}
	return false;
}

/* Labels of the endpoint, or of a network set that has the address. */
static bool holds(const struct selector *selector, const struct near_end *near, int i)
{
	struct facts *facts = (struct facts *)near->facts;

	return selector_eval(selector, facts_lookup, facts) ||
	       netsets_hold(near->netsets, &near->ip[i], selector);
}

static bool near_matches(const struct rule_end *end, const struct near_end *near, int i)
{
	const union mg_addr *addr = &near->ip[i];

	if (end->selector && !holds(end->selector, near, i))
		return false;
	if (end->not_selector && holds(end->not_selector, near, i))
		return false;
	if (end->nets.given && (addr_is_zero(addr) || !in_nets(&end->nets, addr)))
		return false;
	return !end->not_nets.given || addr_is_zero(addr) || !in_nets(&end->not_nets, addr);
}

static uint32_t near_families(const struct rule_end *end, const struct near_end *near)
{
	uint32_t families = 0;

	for (int i = 0; i < 2; i++)
		if (near_matches(end, near, i))
			families |= FAMILY_4 << i;
	return families;
}

/* A name counts where the end's selector holds for the endpoint itself, as at the far end. */
static void push_values(const struct rule_ports *ports, const struct rule_end *end,
			const struct facts *facts, near_key *key)
{
	size_t at = key->n;

	vec_push(key, 0);
	if (end->selector && !selector_eval(end->selector, facts_lookup, (void *)facts))
		return;
	for (unsigned int i = 0; i < ports->count; i++)
		for (uint32_t k = 0; ports->port[i].name && k < facts->port_count; k++)
			if (!strcmp(facts->port[k].name->key, ports->port[i].name))
				vec_push(key, (uint32_t)facts->port[k].proto << 16 |
						      facts->port[k].number);
	key->v[at] = key->n - at - 1;
}

bool near_matters(const struct policy *policy, enum policy_direction direction)
{
	for (unsigned int i = 0; i < policy->rule_count[direction]; i++)
		if (asks(near_of(&policy->rules[direction][i], direction)))
			return true;
	return false;
}

void near_key_make(const struct policy *policy, enum policy_direction direction,
		   const struct near_end *near, near_key *ret_key)
{
	ret_key->n = 0;
	for (unsigned int i = 0; i < policy->rule_count[direction]; i++) {
		const struct rule_end *end = near_of(&policy->rules[direction][i], direction);

		vec_push(ret_key, near_families(end, near));
		push_values(&end->ports, end, near->facts, ret_key);
		push_values(&end->not_ports, end, near->facts, ret_key);
	}
}
