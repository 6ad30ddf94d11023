/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy's content as bytes: two policies of equal content give equal verdicts with equal
 * rule numbers, so a set keeps its number when an object changes in what does not matter.
 */
#include <string.h>

#include "model/selector.h"
#include "policy/content.h"
#include "policy/hmap.h"

void content_put(struct content *c, const void *data, size_t size)
{
	vec_reserve(c, c->n + size);
	if (size)
		memcpy(c->v + c->n, data, size);
	c->n += size;
}

static void put_u32(struct content *c, uint32_t value)
{
	content_put(c, &value, sizeof(value));
}

/* Length first, so that no two sequences of texts look alike. */
void content_text(struct content *c, const char *text)
{
	size_t size = text ? strlen(text) : 0;

	put_u32(c, text ? size : UINT32_MAX);
	content_put(c, text, size);
}

void content_selector(struct content *c, const struct selector *selector)
{
	put_u32(c, selector ? selector->op : UINT32_MAX);
	if (!selector)
		return;
	put_u32(c, selector->count);
	content_text(c, selector->key);
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
			content_text(c, selector->values[i]);
		break;
	case SELECTOR_NOT:
	case SELECTOR_AND:
	case SELECTOR_OR:
		for (unsigned int i = 0; i < selector->count; i++)
			content_selector(c, selector->kids[i]);
		break;
	}
}

static void put_nets(struct content *c, const struct rule_nets *nets)
{
	put_u32(c, nets->count);
	content_put(c, nets->net, nets->count * sizeof(*nets->net));
}

static void put_ports(struct content *c, const struct rule_ports *ports)
{
	put_u32(c, ports->count);
	for (unsigned int i = 0; i < ports->count; i++) {
		content_text(c, ports->port[i].name);
		put_u32(c, (uint32_t)ports->port[i].first << 16 | ports->port[i].last);
	}
}

/* What is asked, as bits, then only that. */
static void put_end(struct content *c, const struct rule_end *end)
{
	const bool is[] = { end->selector,	 end->not_selector,	end->nets.given,
			    end->not_nets.given, end->ports.count != 0, end->not_ports.count != 0,
			    end->service,	 end->domains };
	unsigned char asked = 0;

	for (size_t i = 0; i < sizeof(is) / sizeof(is[0]); i++)
		asked |= is[i] << i;
	content_put(c, &asked, 1);
	if (end->selector)
		content_selector(c, end->selector);
	if (end->not_selector)
		content_selector(c, end->not_selector);
	if (end->nets.given)
		put_nets(c, &end->nets);
	if (end->not_nets.given)
		put_nets(c, &end->not_nets);
	if (end->ports.count)
		put_ports(c, &end->ports);
	if (end->not_ports.count)
		put_ports(c, &end->not_ports);
	if (end->service)
		content_text(c, end->service);
	if (end->domains)
		content_text(c, end->domains);
}

static void put_rule(struct content *c, const struct rule *rule)
{
	int16_t number[] = { rule->action,    rule->index,	   rule->ip_version,
			     rule->proto,     rule->not_proto,	   rule->icmp_type,
			     rule->icmp_code, rule->not_icmp_type, rule->not_icmp_code };

	content_put(c, number, sizeof(number));
	put_end(c, &rule->src);
	put_end(c, &rule->dst);
}

void content_policy(struct content *c, const struct policy *policy, enum policy_direction direction)
{
	c->n = 0;
	content_text(c, policy->uid);
	put_u32(c, policy->staged);
	put_u32(c, direction);
	put_u32(c, policy->rule_count[direction]);
	for (unsigned int i = 0; i < policy->rule_count[direction]; i++)
		put_rule(c, &policy->rules[direction][i]);
}
