/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies of this node's endpoints in the order of evaluation, and what they have counted.
 */
#include <math.h>
#include <string.h>

#include "agent/counters.h"
#include "agent/hosts.h"
#include "agent/show.h"
#include "base/arena.h"

struct policy_walk {
	struct agent *agent;
	const struct counters *counters; /* NULL: policies alone, without their rules */
	enum policy_direction direction;
	const struct policy_stage *stage;
	json_t *list;
};

/* Of a host endpoint, in their order (docs/policy.md). */
struct policy_stage {
	const char *name;
	uint32_t bit;
};

static const struct policy_stage host_stages[] = { { "doNotTrack", POLICY_AT_UNTRACKED },
						   { "preDNAT", POLICY_AT_PREDNAT },
						   { "applyOnForward", POLICY_AT_FORWARD },
						   { "normal", POLICY_AT_NORMAL } };
static const struct policy_stage pod_stage = { "normal", POLICY_AT_NORMAL };

static const char *action_text(enum rule_action action)
{
	switch (action) {
	case RULE_ALLOW:
		return "Allow";
	case RULE_DENY:
		return "Deny";
	case RULE_PASS:
		return "Pass";
	case RULE_LOG:
		return "Log";
	}
	return "";
}

static json_t *staged_json(const struct policy *policy)
{
	switch (policy->staged) {
	case POLICY_ENFORCED:
		return json_null();
	case POLICY_STAGED_SET:
		return json_string("Set");
	case POLICY_STAGED_DELETE:
		return json_string("Delete");
	}
	return json_null();
}

static void put_counts(json_t *row, const struct mg_rule_stats *stats)
{
	json_object_set_new(row, "connections", json_integer((json_int_t)stats->connections));
	json_object_set_new(row, "packets", json_integer((json_int_t)stats->packets));
	json_object_set_new(row, "bytes", json_integer((json_int_t)stats->bytes));
}

/* Rules of one index of the object are one rule here, with one number. */
static json_t *rules_json(const struct policy_walk *walk, const struct policy *policy)
{
	const struct rule *rules = policy->rules[walk->direction];
	json_t *list = json_array();

	for (unsigned int i = 0; i < policy->rule_count[walk->direction]; i++) {
		struct mg_rule_stats stats;
		uint32_t number;
		json_t *row;

		if (i && rules[i].index == rules[i - 1].index)
			continue;
		number = engine_rule_number(walk->agent->engine, policy, walk->direction,
					    rules[i].index);
		row = json_pack("{s:i,s:s,s:s}", "rule", rules[i].index, "action",
				action_text(rules[i].action), "text",
				rules[i].text ? rules[i].text : "");
		stats = counters_of(walk->counters, number);
		if (number != MG_RULE_NONE && number < walk->counters->limit)
			put_counts(row, &stats);
		json_array_append_new(list, row);
	}
	return list;
}

static void add_policy(void *context, const struct policy *policy)
{
	const struct policy_walk *walk = context;
	struct engine_tier tier;
	json_t *row;

	if (!(policy->stages & walk->stage->bit))
		return;
	row = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "kind", policy->kind, "tier", policy->tier,
			"namespace", policy->namespace, "name", policy->name, "stage",
			walk->stage->name, "staged", staged_json(policy));
	if (!isinf(policy->order))
		json_object_set_new(row, "order", json_real(policy->order));
	/* what no doNotTrack or preDNAT policy decides goes on, whatever their tier says */
	if (engine_tier_get(walk->agent->engine, policy->tier, &tier))
		json_object_set_new(
			row, "tier_end",
			json_string(walk->stage->bit & (POLICY_AT_UNTRACKED | POLICY_AT_PREDNAT)
					    ? "Pass"
					    : action_text(tier.action)));
	if (walk->counters)
		json_object_set_new(row, "rules", rules_json(walk, policy));
	json_array_append_new(walk->list, row);
}

static json_t *direction_json(struct policy_walk *walk, uint16_t slot, bool host)
{
	size_t count = host ? sizeof(host_stages) / sizeof(host_stages[0]) : 1;

	walk->list = json_array();
	for (size_t i = 0; i < count; i++) {
		walk->stage = host ? &host_stages[i] : &pod_stage;
		engine_endpoint_policies(walk->agent->engine, slot, walk->direction, add_policy,
					 walk);
	}
	return walk->list;
}

static json_t *endpoint_json(struct policy_walk *walk, uint16_t slot, bool host)
{
	json_t *row = json_object();

	walk->direction = POLICY_IN;
	json_object_set_new(row, "ingress", direction_json(walk, slot, host));
	walk->direction = POLICY_OUT;
	json_object_set_new(row, "egress", direction_json(walk, slot, host));
	json_object_set_new(
		row, "end",
		json_string(engine_endpoint_denies(walk->agent->engine, slot) ? "Deny" : "Allow"));
	return row;
}

struct endpoint_walk {
	struct policy_walk walk;
	const char *wanted; /* NULL: all */
	json_t *list;
};

static void add_host(void *context, const char *name, uint16_t slot)
{
	struct endpoint_walk *each = context;
	json_t *row;

	if (each->wanted && strcmp(each->wanted, name))
		return;
	row = endpoint_json(&each->walk, slot, true);
	json_object_set_new(row, "namespace", json_string(""));
	json_object_set_new(row, "pod", json_string(""));
	json_object_set_new(row, "host_endpoint", json_string(name));
	json_array_append_new(each->list, row);
}

static void add_pod(struct endpoint_walk *each, const struct endpoint *ep)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", ep->ns, ep->pod);
	json_t *row;

	if (each->wanted && strcmp(each->wanted, name))
		return;
	row = endpoint_json(&each->walk, ep->slot, false);
	json_object_set_new(row, "namespace", json_string(ep->ns));
	json_object_set_new(row, "pod", json_string(ep->pod));
	json_array_append_new(each->list, row);
}

json_t *show_policies(struct agent *agent, const char *endpoint)
{
	struct counters *counters = endpoint ? counters_read(agent) : NULL;
	struct endpoint_walk each = { .walk = { .agent = agent, .counters = counters },
				      .wanted = endpoint,
				      .list = json_array() };

	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next)
		add_pod(&each, ep);
	hosts_each(agent, add_host, &each);
	counters_free(counters);
	return each.list;
}

json_t *show_counters(struct agent *agent)
{
	struct counters *counters = counters_read(agent);
	struct counter_sum *sums;
	json_t *list = json_array();
	size_t count;

	sums = counters_by_policy(agent, counters, &count);
	for (size_t i = 0; i < count; i++) {
		const struct policy *policy = sums[i].policy;
		json_t *row = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "group", policy->group, "kind",
					policy->kind, "namespace", policy->namespace, "name",
					policy->name, "direction",
					sums[i].direction == POLICY_IN ? "ingress" : "egress",
					"action", action_text(sums[i].action));

		put_counts(row, &sums[i].sum);
		json_array_append_new(list, row);
	}
	free(sums);
	counters_free(counters);
	return list;
}
