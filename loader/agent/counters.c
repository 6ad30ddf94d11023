/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/counters.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/digest.h"
#include "agent/agent.h"
#include "base/arena.h"

/* The most that was read of a rule: of another rule, once its number is given anew. */
struct counter_mark {
	struct mg_digest digest;
	__u64 packets;
	__u64 bytes;
};

static int add_row(const void *key, const void *value, void *data)
{
	struct mg_flow flow;

	(void)key;
	memcpy(&flow, value, sizeof(flow));
	counters_add_flow(data, &flow);
	return 0;
}

/* One row of each CPU, one behind the other. */
static int add_stats(const void *key, const void *value, void *data)
{
	const struct dp_map *map = ((void **)data)[0];
	struct counters *counters = ((void **)data)[1];
	__u32 number;

	memcpy(&number, key, sizeof(number));
	if (number >= counters->end)
		return 1; /* an array goes up: there is nothing more */
	for (size_t at = 0; at < map->row_size; at += sizeof(struct mg_rule_stats)) {
		struct mg_rule_stats stats;

		memcpy(&stats, (const char *)value + at, sizeof(stats));
		counters->rule[number].connections += stats.connections;
		counters->rule[number].packets += stats.packets;
		counters->rule[number].bytes += stats.bytes;
	}
	return 0;
}

static void grow_marks(struct agent *agent, uint32_t end)
{
	if (end <= agent->counter_mark_count)
		return;
	agent->counter_marks = xrealloc(agent->counter_marks, end, sizeof(*agent->counter_marks));
	memset(agent->counter_marks + agent->counter_mark_count, 0,
	       (end - agent->counter_mark_count) * sizeof(*agent->counter_marks));
	agent->counter_mark_count = end;
}

static void keep_most(__u64 *mark, __u64 *count)
{
	if (*count < *mark)
		*count = *mark;
	*mark = *count;
}

/* A count that went back would be read as one that began anew, and rise by all of itself. */
static void hold(struct agent *agent, struct counters *counters)
{
	grow_marks(agent, counters->end);
	for (uint32_t i = 1; i < counters->end; i++) {
		const struct mg_digest *digest = engine_rule_digest(agent->engine, i);
		struct counter_mark *mark = &agent->counter_marks[i];

		if (!digest)
			continue;
		counters->digest[i] = *digest;
		if (memcmp(digest, &mark->digest, sizeof(*digest)))
			*mark = (struct counter_mark){ .digest = *digest };
		keep_most(&mark->packets, &counters->rule[i].packets);
		keep_most(&mark->bytes, &counters->rule[i].bytes);
	}
}

struct counters *counters_read(struct agent *agent)
{
	const struct dp_map *map = dp_get_map(agent->dp, "mg_rule_stats");
	struct counters *counters = xcalloc(1, sizeof(*counters));
	const void *data[2] = { map, counters };

	counters->end = engine_rules_end(agent->engine);
	counters->limit = map->entries;
	counters->rule = xcalloc(counters->end + 1, sizeof(*counters->rule));
	counters->digest = xcalloc(counters->end + 1, sizeof(*counters->digest));
	/* The map before the rows: a flow that ends between is missed once, not counted twice. */
	dp_map_each(map, add_stats, data);
	dp_map_each(dp_get_map(agent->dp, "mg_flow_e"), add_row, counters);
	dp_map_each(dp_get_map(agent->dp, "mg_flow_t"), add_row, counters);
	hold(agent, counters);
	return counters;
}

void counters_free(struct counters *counters)
{
	if (!counters)
		return;
	free(counters->rule);
	free(counters->digest);
	free(counters);
}

static long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

const struct counters *counters_recent(struct agent *agent)
{
	long long began = now_us();

	if (agent->counters && began < agent->counters_good_until) {
		counters_follow(agent->counters, agent->engine);
		return agent->counters;
	}
	counters_free(agent->counters);
	agent->counters = counters_read(agent);
	agent->counters_good_until = counters_good_until(began, now_us());
	return agent->counters;
}

void counters_stop(struct agent *agent)
{
	counters_free(agent->counters);
	agent->counters = NULL;
	free(agent->counter_marks);
	agent->counter_marks = NULL;
	agent->counter_mark_count = 0;
}

uint32_t counters_left_out(const struct agent *agent)
{
	const struct dp_map *map = dp_get_map(agent->dp, "mg_rule_stats");
	uint32_t end = engine_rules_end(agent->engine), count = 0;

	for (uint32_t i = map->entries; i < end; i++)
		count += engine_rule_digest(agent->engine, i) != NULL;
	return count;
}

/* --- by policy ------------------------------------------------------------------------------ */

static int text_order(const void *x, const void *y)
{
	const struct counter_sum *a = x, *b = y;
	int order = strcmp(a->policy->namespace, b->policy->namespace);

	if (!order)
		order = strcmp(a->policy->name, b->policy->name);
	if (!order)
		order = strcmp(a->policy->kind, b->policy->kind);
	if (!order)
		order = strcmp(a->policy->group, b->policy->group);
	if (!order)
		order = (int)a->direction - (int)b->direction;
	return order ? order : (int)a->action - (int)b->action;
}

static void join(struct counter_sum *into, const struct counter_sum *from)
{
	into->sum.connections += from->sum.connections;
	into->sum.packets += from->sum.packets;
	into->sum.bytes += from->sum.bytes;
}

struct counter_sum *counters_by_policy(const struct agent *agent, const struct counters *counters,
				       size_t *ret_count)
{
	struct counter_sum *sums = xcalloc(counters->end + 1, sizeof(*sums));
	size_t count = 0, joined = 0;

	for (uint32_t i = 1; i < counters->end; i++) {
		struct engine_rule rule;

		/* Pass decides nothing, so it counts nothing. */
		if (engine_rule_get(agent->engine, i, &rule) < 0 || rule.action == RULE_PASS)
			continue;
		sums[count++] = (struct counter_sum){ .policy = rule.policy,
						      .direction = rule.direction,
						      .action = rule.action,
						      .sum = counters->rule[i] };
	}
	qsort(sums, count, sizeof(*sums), text_order);
	for (size_t i = 0; i < count; i++) {
		if (joined && !text_order(&sums[joined - 1], &sums[i]))
			join(&sums[joined - 1], &sums[i]);
		else
			sums[joined++] = sums[i];
	}
	*ret_count = joined;
	return sums;
}
