/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy engine alone: from facts and policies to a plan, no map written. Figures of
 * the performance goals: 10,000 selector rules in 20 sets into force, one changed rule of them,
 * one small policy, a pod that comes; and bytes for 50,000 known pods.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/selector.h"
#include "policy/engine.h"

#define POLICIES 100
#define RULES 100
#define ENDPOINTS 250
#define SETS 20
#define SETS_MOST 250
#define APPS 1000
#define ROUNDS 30

static unsigned int sets = SETS;

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void figures(const char *what, double *ms, size_t count)
{
	qsort(ms, count, sizeof(*ms), double_cmp);
	printf("%-58s %9.3f %9.3f %9.3f\n", what, ms[0], ms[count / 2], ms[count * 99 / 100]);
}

static union mg_addr addr_of(unsigned int i)
{
	return (union mg_addr){ .b = { [10] = 0xff,
				       0xff,
				       10,
				       (unsigned char)(i >> 16),
				       (unsigned char)(i >> 8),
				       (unsigned char)i } };
}

static void facts_make(struct engine_facts *facts, struct engine_label *label, char *text,
		       unsigned int i)
{
	sprintf(text, "app-%u", i % APPS);
	sprintf(text + 16, "set-%u", i % sets);
	label[0] = (struct engine_label){ "app", text };
	label[1] = (struct engine_label){ "group", text + 16 };
	label[2] = (struct engine_label){ "pod-template-hash", text };
	*facts = (struct engine_facts){ .kind = ENGINE_POD,
					.namespace = "shop",
					.labels = { label, 3 } };
}

static void pod(struct engine *engine, unsigned int i, bool local)
{
	struct engine_label label[3];
	struct engine_endpoint endpoint = {};
	struct engine_facts facts;
	union mg_addr addr = addr_of(i);
	char text[32];

	facts_make(&facts, label, text, i);
	engine_addr_set(engine, &addr, &facts);
	endpoint.facts = facts;
	endpoint.ip4 = addr;
	if (local)
		engine_endpoint_set(engine, i + 1, &endpoint);
}

/* Twenty sets: those whose number divides the policy's, lists of 5 to 100 policies. More: one in
 * eight by a hash, so that no two lists are equal. */
static bool applies(unsigned int policy, unsigned int set)
{
	if (sets == SETS)
		return policy % (set + 1) == 0;
	return ((policy + 1) * 2654435761u ^ (set + 1) * 2246822519u) * 3266489917u >> 29 == 0;
}

static struct policy *policy_make(unsigned int i, unsigned int salt, bool ports)
{
	struct policy *policy;
	struct rule *rules;
	char name[32], value[32];
	const char *const values = value;
	const char *groups[SETS_MOST];
	char group[SETS_MOST][16];
	unsigned int count = 0;

	snprintf(name, sizeof(name), "policy-%u", i);
	policy = policy_new("networking.k8s.io", "NetworkPolicy", "shop", name, name);
	rules = arena_array(policy->arena, RULES, sizeof(*rules));
	for (unsigned int k = 0; k < RULES; k++) {
		struct rule_port *port = arena_alloc(policy->arena, sizeof(*port));

		snprintf(value, sizeof(value), "app-%u",
			 (i * RULES + k + (k == 7 ? salt : 0)) % APPS);
		port->first = port->last = 1000 + k;
		rules[k] = (struct rule)RULE_INIT;
		rules[k].action = RULE_ALLOW;
		rules[k].index = k;
		if (ports) {
			rules[k].proto = 6;
			rules[k].dst.ports = (struct rule_ports){ port, 1 };
		}
		rules[k].src.selector =
			selector_and(policy->arena, selector_in(policy->arena, "app", &values, 1),
				     selector_has(policy->arena, "group"));
	}
	for (unsigned int s = 0; s < sets; s++)
		if (applies(i, s)) {
			snprintf(group[count], sizeof(group[0]), "set-%u", s);
			groups[count] = group[count];
			count++;
		}
	policy->selector = selector_in(policy->arena, "group", groups, count);
	policy->applies[POLICY_IN] = true;
	policy->rules[POLICY_IN] = rules;
	policy->rule_count[POLICY_IN] = RULES;
	return policy;
}

static double build(struct engine *engine, size_t *ret_rows)
{
	const struct plan *plan;
	double start = now_ms();
	int r = engine_build(engine, &plan, NULL);
	double took = now_ms() - start;

	if (r) {
		fprintf(stderr, "engine_build: %d\n", r);
		exit(1);
	}
	*ret_rows = plan->move_count;
	for (int phase = 0; phase < PLAN_PHASES; phase++)
		*ret_rows += plan->row_count[phase];
	engine_applied(engine);
	engine_grace_done(engine, engine_applied_build(engine));
	return took;
}

static void settle(struct engine *engine)
{
	size_t rows;

	while (engine_pending(engine))
		build(engine, &rows);
}

static void whole_node(const char *what, bool ports)
{
	double ms[ROUNDS];
	size_t rows = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct engine *engine = engine_new(NULL);
		struct policy *policy[POLICIES];
		double start;

		for (unsigned int i = 0; i < 2000; i++)
			pod(engine, i, i < ENDPOINTS);
		settle(engine);
		for (unsigned int i = 0; i < POLICIES; i++)
			policy[i] = policy_make(i, 0, ports);
		start = now_ms();
		for (unsigned int i = 0; i < POLICIES; i++)
			engine_policy_set(engine, policy[i]);
		build(engine, &rows);
		ms[round] = now_ms() - start;
		engine_free(engine);
	}
	figures(what, ms, ROUNDS);
	printf("  (%zu rows in the plan)\n", rows);
}

static void single_changes(struct engine *engine)
{
	double rule[ROUNDS], small[ROUNDS], arrival[ROUNDS];
	size_t rows[3];

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct policy *policy = policy_make(round % POLICIES, round + 1, false);
		double start = now_ms();

		engine_policy_set(engine, policy);
		build(engine, &rows[0]);
		rule[round] = now_ms() - start;
		settle(engine);
		policy = policy_make(7, 0, true);
		policy->rule_count[POLICY_IN] = 1 + round % 2;
		policy->name = policy->uid = "small";
		start = now_ms();
		engine_policy_set(engine, policy);
		build(engine, &rows[1]);
		small[round] = now_ms() - start;
		settle(engine);
		start = now_ms();
		pod(engine, ENDPOINTS + round, true);
		build(engine, &rows[2]);
		arrival[round] = now_ms() - start;
		settle(engine);
	}
	figures("one changed rule of them", rule, ROUNDS);
	printf("  (%zu rows)\n", rows[0]);
	figures("a small policy beside them", small, ROUNDS);
	printf("  (%zu rows)\n", rows[1]);
	figures("a pod comes to this node", arrival, ROUNDS);
	printf("  (%zu rows)\n", rows[2]);
}

static void memory(void)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, after;
	struct engine *engine = engine_new(NULL);
	double start = now_ms();
	size_t rows;

	for (unsigned int i = 0; i < 50000; i++)
		pod(engine, i, false);
	build(engine, &rows);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	printf("50,000 pods of 1,000 applications known: %.1f MiB, told in %.0f ms\n",
	       (double)(after - before) / 1048576, now_ms() - start);
	engine_free(engine);
}

int main(void)
{
	struct engine *engine = engine_new(NULL);

	printf("%-58s %9s %9s %9s\n", "policy engine, ms of CPU", "min", "median", "p99");
	whole_node("10,000 selector rules, 20 sets, 250 endpoints, 2,000 pods", false);
	whole_node("the same, each rule with a port of its own", true);
	sets = SETS_MOST;
	whole_node("10,000 selector rules, 250 different sets", false);
	sets = SETS;
	for (unsigned int i = 0; i < 2000; i++)
		pod(engine, i, i < ENDPOINTS);
	for (unsigned int i = 0; i < POLICIES; i++)
		engine_policy_set(engine, policy_make(i, 0, false));
	settle(engine);
	single_changes(engine);
	engine_free(engine);
	memory();
	return 0;
}
