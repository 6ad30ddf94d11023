/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a policy that is being compiled: the atoms they ask, and their numbers.
 */
#include <string.h>

#include "policy/compile.h"
#include "policy/digest.h"

static struct atom *own(struct cpol *cpol, struct atom *atom)
{
	vec_push(&cpol->atom, atom);
	return atom;
}

static void own_names(struct compiler *c, struct cpol *cpol, struct far_rule *rule,
		      const struct rule_ports *ports, const struct selector *selector)
{
	for (unsigned int i = 0; i < ports->count; i++) {
		if (!ports->port[i].name)
			continue;
		own(cpol, atom_port(c->atoms, cpol->policy, selector, ports->port[i].name));
		rule->named++;
	}
}

/* "allowedEgressDomains ... honored in egress allow rules only" (NetworkSetSpec). */
static struct atom *selector_atom(struct compiler *c, const struct cpol *cpol,
				  const struct rule *rule, const struct rule_end *end)
{
	if (cpol->direction == POLICY_OUT && rule->action == RULE_ALLOW && end == &rule->dst)
		return atom_allowed(c->atoms, cpol->policy, end->selector);
	return atom_selector(c->atoms, cpol->policy, end->selector);
}

static void own_atoms(struct compiler *c, struct cpol *cpol, struct far_rule *rule,
		      const struct rule_end *end)
{
	rule->first = cpol->atom.n;
	own_names(c, cpol, rule, &end->ports, end->selector);
	own_names(c, cpol, rule, &end->not_ports, end->selector);
	if (end->selector)
		rule->want[FAR_SELECTOR] = own(cpol, selector_atom(c, cpol, rule->rule, end));
	if (end->nets.given)
		rule->want[FAR_NETS] = own(cpol, atom_nets(c->atoms, &end->nets));
	if (end->service)
		rule->want[FAR_SERVICE] =
			own(cpol, atom_service(c->atoms, cpol->policy, end->service));
	if (end->domains)
		rule->want[FAR_DOMAINS] =
			own(cpol, atom_domains(c->atoms, cpol->policy, end->domains));
	if (end->not_selector)
		rule->avoid[0] =
			own(cpol, atom_selector(c->atoms, cpol->policy, end->not_selector));
	if (end->not_nets.given)
		rule->avoid[1] = own(cpol, atom_nets(c->atoms, &end->not_nets));
	rule->labels = end->not_selector || rule->named;
	rule->valued = rule->named || (end->service && cpol->direction == POLICY_OUT);
}

/* Policy and stage give twelve bytes, direction and index the rest: one digest a policy. */
static struct mg_digest policy_digest(const struct policy *policy)
{
	struct mg_digest digest;
	char *text = xasprintf("rule %d %s", policy->staged != POLICY_ENFORCED, policy->uid);

	digest_of(text, strlen(text), &digest);
	free(text);
	return digest;
}

static struct mg_digest rule_digest(const struct mg_digest *policy, enum policy_direction direction,
				    unsigned int index)
{
	struct mg_digest digest = *policy;

	digest.b[12] = direction;
	digest.b[13] = index >> 16;
	digest.b[14] = index >> 8;
	digest.b[15] = index;
	return digest;
}

static void number_rule(struct compiler *c, struct cpol *cpol, struct far_rule *rule,
			const struct mg_digest *policy)
{
	struct mg_digest digest = rule_digest(policy, cpol->direction, rule->rule->index);

	rule->number = rule_intern(c->tables, &digest);
	policy_unref(rule->number->policy);
	rule->number->policy = policy_ref(cpol->policy);
	rule->number->direction = cpol->direction;
	rule->number->index = rule->rule->index;
	rule->number->action = rule->rule->action;
	rule->number->text = rule->rule->text;
}

struct rule_number *cpol_rule_number(const struct tables *tables, const struct policy *policy,
				     enum policy_direction direction, unsigned int index)
{
	struct mg_digest of = policy_digest(policy), digest = rule_digest(&of, direction, index);

	return rule_find(tables, &digest);
}

/* The near end, asked as a far one; of its service only the far end is asked. */
static void make_near_rule(struct compiler *c, struct cpol *cpol, const struct rule *from)
{
	struct rule_end end = cpol->direction == POLICY_IN ? from->dst : from->src;
	struct far_rule rule = { .rule = from, .families = FAMILY_4 | FAMILY_6 };

	end.service = NULL;
	own_atoms(c, cpol, &rule, &end);
	vec_push(&cpol->near_rule, rule);
}

void cpol_make_rules(struct compiler *c, struct cpol *cpol)
{
	const struct policy *policy = cpol->policy;
	struct mg_digest digest = policy_digest(policy);
	uint32_t near_at = 0;

	vec_reserve(&cpol->rule, policy->rule_count[cpol->direction]);
	vec_reserve(&cpol->step, policy->rule_count[cpol->direction]);
	for (uint32_t i = 0; i < policy->rule_count[cpol->direction]; i++) {
		struct far_rule rule = { .rule = &policy->rules[cpol->direction][i],
					 .near_at = near_at,
					 .families = FAMILY_4 | FAMILY_6 };

		if (cpol->near.n) {
			const uint32_t *at = cpol->near.v + near_at;

			rule.families = at[0];
			near_at += 3 + at[1] + at[2 + at[1]];
		}
		if (rule.rule->ip_version)
			rule.families &= rule.rule->ip_version == 4 ? FAMILY_4 : FAMILY_6;
		own_atoms(c, cpol, &rule,
			  cpol->direction == POLICY_IN ? &rule.rule->src : &rule.rule->dst);
		if (cpol->both)
			make_near_rule(c, cpol, rule.rule);
		number_rule(c, cpol, &rule, &digest);
		vec_push(&cpol->rule, rule);
		vec_push(&cpol->step, (struct far_step){ .rule = i });
		if (!rule.valued)
			cpol->step.v[i].pm = cpol_rule_pm(c, cpol, i, NULL);
	}
}
