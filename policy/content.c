/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy's content as bytes: two policies of equal content give equal verdicts with equal
 * rule numbers, so a set keeps its number when an object changes in what does not matter.
 */
#include <string.h>

#include "model/selector.h"
#include "policy/compile.h"

static void put(struct compiler *c, const void *data, size_t size)
{
	vec_reserve(&c->text, c->text.n + size);
	if (size)
		memcpy(c->text.v + c->text.n, data, size);
	c->text.n += size;
}

static void put_u32(struct compiler *c, uint32_t value)
{
	put(c, &value, sizeof(value));
}

/* Length first, so that no two sequences of texts look alike. */
static void put_text(struct compiler *c, const char *text)
{
	size_t size = text ? strlen(text) : 0;

	put_u32(c, text ? size : UINT32_MAX);
	put(c, text, size);
}

static void put_selector(struct compiler *c, const struct selector *selector)
{
	put_u32(c, selector ? selector->op : UINT32_MAX);
	if (!selector)
		return;
	put_u32(c, selector->count);
	put_text(c, selector->key);
	switch (selector->op) {
	case SELECTOR_ALL:
	case SELECTOR_NONE:
	case SELECTOR_GLOBAL:
	case SELECTOR_HAS:
		break;
	case SELECTOR_IN:
	case SELECTOR_NOT_IN:
	case SELECTOR_CONTAINS:
	case SELECTOR_STARTS_WITH:
	case SELECTOR_ENDS_WITH:
		for (unsigned int i = 0; i < selector->count; i++)
			put_text(c, selector->values[i]);
		break;
	case SELECTOR_NOT:
	case SELECTOR_AND:
	case SELECTOR_OR:
		for (unsigned int i = 0; i < selector->count; i++)
			put_selector(c, selector->kids[i]);
		break;
	}
}

static void put_nets(struct compiler *c, const struct rule_nets *nets)
{
	put_u32(c, nets->given ? nets->count : UINT32_MAX);
	put(c, nets->net, nets->count * sizeof(*nets->net));
}

static void put_ports(struct compiler *c, const struct rule_ports *ports)
{
	put_u32(c, ports->count);
	for (unsigned int i = 0; i < ports->count; i++) {
		put_text(c, ports->port[i].name);
		put_u32(c, (uint32_t)ports->port[i].first << 16 | ports->port[i].last);
	}
}

static void put_end(struct compiler *c, const struct rule_end *end)
{
	put_selector(c, end->selector);
	put_selector(c, end->not_selector);
	put_nets(c, &end->nets);
	put_nets(c, &end->not_nets);
	put_ports(c, &end->ports);
	put_ports(c, &end->not_ports);
	put_text(c, end->service);
}

static void put_rule(struct compiler *c, const struct rule *rule)
{
	int16_t number[] = { rule->action,    rule->index,	   rule->ip_version,
			     rule->proto,     rule->not_proto,	   rule->icmp_type,
			     rule->icmp_code, rule->not_icmp_type, rule->not_icmp_code };

	put(c, number, sizeof(number));
	put_end(c, &rule->src);
	put_end(c, &rule->dst);
}

void policy_content(struct compiler *c, const struct policy *policy,
		    enum policy_direction direction)
{
	c->text.n = 0;
	put_text(c, policy->uid);
	put_u32(c, policy->staged);
	put_u32(c, direction);
	put_u32(c, policy->rule_count[direction]);
	for (unsigned int i = 0; i < policy->rule_count[direction]; i++)
		put_rule(c, &policy->rules[direction][i]);
}
