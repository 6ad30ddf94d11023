/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a live flow's row adds to which rules, and how a policy's rules are found by their numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/counters.h"
#include "base/arena.h"
#include "base/err.h"
#include "policy/engine.h"

#define RULES 8
#define LIMIT 6

static struct mg_rule_stats stats[RULES];
static struct counters counters;

static void begin(void)
{
	for (int i = 0; i < RULES; i++)
		stats[i] = (struct mg_rule_stats){ 0 };
	counters = (struct counters){ .rule = stats, .end = RULES, .limit = LIMIT };
}

static void expect(uint32_t rule, __u64 packets, __u64 bytes)
{
	struct mg_rule_stats got = counters_of(&counters, rule);

	assert_int_equal(got.connections, 0);
	assert_int_equal(got.packets, packets);
	assert_int_equal(got.bytes, bytes);
}

static struct mg_flow flow_of(__u16 flags)
{
	return (struct mg_flow){ .packets = 3, .bytes = 300, .flags = flags };
}

/* Both directions stand in one row; each side has its rule, and the staged one beside it. */
static void test_pods(void **state)
{
	struct mg_flow flow = flow_of(MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN);

	(void)state;
	begin();
	flow.back = (struct mg_flow_count){ .packets = 2, .bytes = 50 };
	flow.side[0].judged = (struct mg_judged){ .rule = 1, .set = 7 };
	flow.side[1].judged =
		(struct mg_judged){ .rule = 2, .staged_rule = 3, .set = 7, .staged_set = 8 };
	counters_add_flow(&counters, &flow);
	expect(1, 5, 350);
	expect(2, 5, 350);
	expect(3, 5, 350);
	expect(4, 0, 0);
}

/* A translated row has one direction; where back would stand is an address. */
static void test_translated(void **state)
{
	struct mg_flow flow = flow_of(MG_FLOW_JUDGED_OUT | MG_FLOW_SNAT);

	(void)state;
	begin();
	flow.xlat = (union mg_addr){ .d = { ~0ULL, ~0ULL } };
	flow.side[0].judged = (struct mg_judged){ .rule = 1, .set = 7 };
	flow.side[1].place.rule = 2; /* a host endpoint's, where the flow leaves */
	flow.side[1].place.at = 77;
	counters_add_flow(&counters, &flow);
	expect(1, 3, 300);
	expect(2, 3, 300);
}

/* No rule, a rule without a row, the mark of a staged denial, a number that nobody has. */
static void test_nobody(void **state)
{
	struct mg_flow flow = flow_of(MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN);

	(void)state;
	begin();
	flow.side[0].judged = (struct mg_judged){ .rule = LIMIT, .staged_rule = MG_RULE_DENIED };
	flow.side[1].judged = (struct mg_judged){ .rule = MG_RULE_NONE, .staged_rule = RULES };
	counters_add_flow(&counters, &flow);
	for (uint32_t i = 0; i < RULES; i++)
		expect(i, 0, 0);
	assert_int_equal(counters_of(&counters, RULES + 1).packets, 0);
}

/* --- numbers -------------------------------------------------------------------------------- */

static struct policy *policy_with_rules(void)
{
	static const struct rule rules[] = { RULE_INIT, RULE_INIT };
	struct policy *policy =
		policy_new("projectcalico.org", "GlobalNetworkPolicy", "", "two", "uid");
	struct rule *own = arena_alloc(policy->arena, sizeof(rules));

	own[0] = rules[0];
	own[1] = rules[1];
	own[0].action = RULE_LOG;
	own[1].index = 1;
	policy->tier = "default";
	policy->stages = POLICY_AT_NORMAL;
	policy->applies[POLICY_IN] = true;
	policy->rules[POLICY_IN] = own;
	policy->rule_count[POLICY_IN] = 2;
	return policy;
}

static void test_numbers(void **state)
{
	struct engine_endpoint endpoint = { .facts = { .kind = ENGINE_POD, .namespace = "a" } };
	struct engine *engine = engine_new(NULL);
	struct policy *policy = policy_with_rules();
	const struct plan *plan;
	struct engine_rule rule;
	struct engine_tier tier;
	struct err err;

	(void)state;
	assert_int_equal(engine_rule_number(engine, policy, POLICY_IN, 1), MG_RULE_NONE);
	engine_policy_set(engine, policy_ref(policy));
	assert_int_equal(engine_endpoint_set(engine, 1, &endpoint), 0);
	assert_int_equal(engine_build(engine, &plan, &err), 0);
	engine_applied(engine);
	for (unsigned int index = 0; index < 2; index++) {
		uint32_t number = engine_rule_number(engine, policy, POLICY_IN, index);

		assert_in_range(number, 1, engine_rules_end(engine) - 1);
		assert_int_equal(engine_rule_get(engine, number, &rule), 0);
		assert_ptr_equal(rule.policy, policy);
		assert_int_equal(rule.index, index);
		assert_int_equal(rule.action, index ? RULE_ALLOW : RULE_LOG);
		assert_non_null(engine_rule_digest(engine, number));
	}
	assert_int_equal(engine_rule_number(engine, policy, POLICY_OUT, 0), MG_RULE_NONE);
	assert_int_equal(engine_rule_number(engine, policy, POLICY_IN, 2), MG_RULE_NONE);
	assert_true(engine_tier_get(engine, "default", &tier));
	assert_int_equal(tier.action, RULE_DENY);
	assert_false(engine_tier_get(engine, "none", &tier));
	assert_false(engine_endpoint_denies(engine, 1));
	assert_true(engine_endpoint_denies(engine, 2));
	policy_unref(policy);
	engine_free(engine);
}

/* --- kept ----------------------------------------------------------------------------------- */

static void settle(struct engine *engine)
{
	const struct plan *plan;
	struct err err;

	do {
		assert_int_equal(engine_build(engine, &plan, &err), 0);
		engine_applied(engine);
		engine_grace_done(engine, engine_applied_build(engine));
	} while (engine_pending(engine));
}

/* What was read stays with its rule, and nothing of it goes to one that has the number now. */
static void test_follow(void **state)
{
	struct engine_endpoint endpoint = { .facts = { .kind = ENGINE_POD, .namespace = "a" } };
	struct engine *engine = engine_new(NULL);
	struct policy *first = policy_with_rules(), *second = policy_with_rules();
	struct counters kept = { .rule = xcalloc(1, sizeof(*kept.rule)),
				 .digest = xcalloc(1, sizeof(*kept.digest)) };
	uint32_t number;

	(void)state;
	second->uid = "another";
	second->name = "another";
	assert_int_equal(engine_endpoint_set(engine, 1, &endpoint), 0);
	engine_policy_set(engine, policy_ref(first));
	settle(engine);
	number = engine_rule_number(engine, first, POLICY_IN, 1);
	counters_follow(&kept, engine);
	assert_in_range(number, 1, kept.end - 1);
	kept.rule[number].packets = 7;
	counters_follow(&kept, engine);
	assert_int_equal(kept.rule[number].packets, 7);
	engine_policy_del(engine, first->group, first->kind, "", first->name);
	settle(engine);
	engine_policy_set(engine, policy_ref(second));
	settle(engine);
	assert_int_equal(engine_rule_number(engine, second, POLICY_IN, 1), number);
	counters_follow(&kept, engine);
	assert_int_equal(kept.rule[number].packets, 0);
	free(kept.rule);
	free(kept.digest);
	policy_unref(first);
	policy_unref(second);
	engine_free(engine);
}

/* A reading that begins when the last one is no longer good leaves the rest of the time alone. */
static void test_share(void **state)
{
	(void)state;
	assert_int_equal(counters_good_until(1000, 1500), 1000 + 500 * COUNTERS_SHARE);
	assert_int_equal(counters_good_until(1000, 1000), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods),   cmocka_unit_test(test_translated),
		cmocka_unit_test(test_nobody), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_follow), cmocka_unit_test(test_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
