/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_walk.h"

#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"
#include "model/selector.h"

static const struct walk_pod *owner(const struct walk_scene *scene, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < WALK_PODS; i++)
		for (int k = 0; k < 2; k++)
			if (!addr_cmp(&scene->pod[i].ip[k], addr))
				return &scene->pod[i];
	return NULL;
}

static const char *label_of(void *ctx, const char *key)
{
	const struct walk_pod *pod = ctx;

	for (size_t i = 0; i < pod->label_count; i++)
		if (!strcmp(pod->label[i].key, key))
			return pod->label[i].value;
	return NULL;
}

static bool holds(const struct selector *selector, const struct walk_pod *pod)
{
	return pod && selector_eval(selector, label_of, (void *)pod);
}

static bool in_nets(const struct rule_nets *list, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (prefix_is4(&list->net[i]) == addr_is4(addr) &&
		    prefix_contains(&list->net[i], addr))
			return true;
	return false;
}

static bool has_port(const struct rule_ports *list, const struct walk_pod *pod, uint8_t proto,
		     uint16_t port)
{
	for (unsigned int i = 0; i < list->count; i++) {
		const struct rule_port *one = &list->port[i];

		if (!one->name && port >= one->first && port <= one->last)
			return true;
		for (size_t k = 0; one->name && pod && k < pod->port_count; k++)
			if (!strcmp(pod->port[k].name, one->name) && pod->port[k].proto == proto &&
			    pod->port[k].number == port)
				return true;
	}
	return false;
}

static bool is_named(const struct rule_ports *list)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (list->port[i].name)
			return true;
	return false;
}

bool walk_has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static bool member(const struct walk_scene *scene, const char *name, const union mg_addr *addr,
		   const struct pk_packet *packet, bool ports)
{
	for (unsigned int k = 0; k < 4; k++) {
		const struct engine_member *one =
			&scene->member[strcmp(name, scene->service[0]) != 0][k];

		if (!addr_cmp(&one->addr, addr) &&
		    (!ports || (walk_has_ports(packet->proto) && one->proto == packet->proto &&
				(!one->port || one->port == packet->dport))))
			return true;
	}
	return false;
}

/* port: of this end. far: its owner may be unknown. */
static bool end_matches(const struct walk_scene *scene, const struct rule_end *end,
			const struct walk_question *q, bool is_dst)
{
	const union mg_addr *addr = is_dst ? &q->dst : &q->src;
	uint16_t port = is_dst ? q->packet.dport : q->packet.sport;
	const struct walk_pod *pod = owner(scene, addr);
	bool far = is_dst == (q->direction == POLICY_OUT);
	bool unknown = far && !pod && addr->b[12] == 10 && addr->b[13] == 1 && addr_is4(addr);

	if (unknown && (end->selector || end->not_selector || is_named(&end->ports) ||
			is_named(&end->not_ports)))
		return false;
	if ((end->selector && !holds(end->selector, pod)) ||
	    (end->not_selector && holds(end->not_selector, pod)) ||
	    (end->nets.given && !in_nets(&end->nets, addr)) ||
	    (end->not_nets.given && in_nets(&end->not_nets, addr)))
		return false;
	if (end->service && !member(scene, end->service, addr, &q->packet, is_dst))
		return false;
	if (end->ports.count &&
	    !(walk_has_ports(q->packet.proto) && has_port(&end->ports, pod, q->packet.proto, port)))
		return false;
	return !(end->not_ports.count && walk_has_ports(q->packet.proto) &&
		 has_port(&end->not_ports, pod, q->packet.proto, port));
}

static bool icmp_is(const struct pk_packet *packet, int type, int code)
{
	return packet->icmp_type == type && (code == RULE_ANY || packet->icmp_code == code);
}

static bool rule_matches(const struct walk_scene *scene, const struct rule *rule,
			 const struct walk_question *q)
{
	const struct pk_packet *packet = &q->packet;

	if (rule->ip_version && (rule->ip_version == 4) != addr_is4(&q->dst))
		return false;
	if ((rule->proto != RULE_ANY && rule->proto != packet->proto) ||
	    rule->not_proto == packet->proto)
		return false;
	if (rule->icmp_type != RULE_ANY && !icmp_is(packet, rule->icmp_type, rule->icmp_code))
		return false;
	if (rule->not_icmp_type != RULE_ANY &&
	    icmp_is(packet, rule->not_icmp_type, rule->not_icmp_code))
		return false;
	return end_matches(scene, &rule->src, q, false) && end_matches(scene, &rule->dst, q, true);
}

/* Tiers by order, then name; policies of a tier by order, then name. */
static bool comes_before(const struct policy *a, const struct policy *b)
{
	return a->order < b->order || (a->order == b->order && strcmp(a->name, b->name) < 0);
}

/* 0: go on behind this tier; 1: decided. */
static bool walk_tier(const struct walk_scene *scene, unsigned int tier,
		      const struct walk_question *q, struct walk_answer *answer)
{
	bool done[WALK_POLICIES] = { false }, any = false;

	for (;;) {
		const struct policy *next = NULL;
		unsigned int at = 0;

		for (unsigned int i = 0; i < WALK_POLICIES; i++) {
			const struct policy *policy = scene->policy[i];

			if (done[i] || strcmp(policy->tier, scene->tier_name[tier]) ||
			    !policy->applies[q->direction] ||
			    (policy->selector && !holds(policy->selector, q->local)))
				continue;
			if (!next || comes_before(policy, next)) {
				next = policy;
				at = i;
			}
		}
		if (!next)
			break;
		done[at] = any = true;
		for (unsigned int k = 0; k < next->rule_count[q->direction]; k++) {
			const struct rule *rule = &next->rules[q->direction][k];

			if (!rule_matches(scene, rule, q))
				continue;
			if (rule->action == RULE_PASS)
				return false;
			if (rule->action == RULE_LOG) {
				answer->logged = next;
				answer->log_index = k;
				continue;
			}
			answer->allow = rule->action == RULE_ALLOW;
			answer->policy = next;
			answer->index = k;
			return true;
		}
	}
	if (any && scene->tier_end[tier] == RULE_DENY)
		answer->tier = scene->tier_name[tier];
	return answer->tier;
}

struct walk_answer walk_rules(const struct walk_scene *scene, const struct walk_question *q)
{
	struct walk_answer answer = {};
	bool done[WALK_TIERS] = { false };

	for (int turn = 0; turn < WALK_TIERS; turn++) {
		int next = -1;

		for (int i = 0; i < WALK_TIERS; i++)
			if (!done[i] &&
			    (next < 0 || scene->tier_order[i] < scene->tier_order[next] ||
			     (scene->tier_order[i] == scene->tier_order[next] &&
			      strcmp(scene->tier_name[i], scene->tier_name[next]) < 0)))
				next = i;
		done[next] = true;
		if (walk_tier(scene, next, q, &answer))
			return answer;
	}
	answer.allow = true; /* the profile of a pod's namespace */
	return answer;
}
