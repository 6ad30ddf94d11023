/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a rule can say, beyond NetworkPolicy: tiers, order, Pass, Log, Deny, negations, both
 * ends, source ports, named ports, services, ICMP, protocol numbers, families. Random policies in
 * the neutral form against a walk down the rule list, verdict and deciding rule alike.
 * MARGAY_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "selftests/lib/policy_scene.h"

static void assert_rule(const struct walk_scene *scene, uint32_t number,
			const struct policy *policy, unsigned int index,
			enum policy_direction direction)
{
	struct engine_rule rule;

	if (!policy) {
		assert_int_equal(number, MG_RULE_NONE);
		return;
	}
	assert_int_equal(engine_rule_get(scene->engine, number, &rule), 0);
	assert_ptr_equal(rule.policy, policy);
	assert_int_equal(rule.index, index);
	assert_int_equal(rule.direction, direction);
}

static void ask(const struct walk_scene *scene, const struct walk_question *q)
{
	enum mg_stage stage =
		q->direction == POLICY_IN ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT;
	uint32_t slot = q->local - scene->pod + 1;
	uint32_t number = pk_judge(scene->kernel, slot, stage, &q->packet);
	struct walk_answer answer = walk_rules(scene, q);
	struct mg_verdict verdict = scene->kernel->verdict[number];

	assert_int_equal(pk_allows(scene->kernel, number), answer.allow);
	if (number < MG_VERDICT_FIRST)
		verdict = (struct mg_verdict){};
	assert_rule(scene, verdict.rule, answer.policy, answer.index, q->direction);
	assert_rule(scene, verdict.log_rule, answer.logged, answer.log_index, q->direction);
	if (answer.tier)
		assert_string_equal(engine_tier_name(scene->engine, verdict.tier), answer.tier);
	else
		assert_int_equal(verdict.tier, 0);
}

static void walks_agree(void **state)
{
	struct walk_question q;
	struct walk_scene scene;

	(void)state;
	for (int turn = 0; turn < 250; turn++) {
		scene_init(&scene);
		for (int i = 0; i < 800; i++) {
			scene_question(&scene, &q);
			ask(&scene, &q);
		}
		scene_done(&scene);
	}
}

static void walks_agree_after_changes(void **state)
{
	struct walk_question q;
	struct walk_scene scene;

	(void)state;
	for (int turn = 0; turn < 30; turn++) {
		scene_init(&scene);
		for (int changes = 0; changes < 60; changes++) {
			for (uint32_t n = 1 + pw_random(&scene_dice, 3); n; n--)
				scene_change(&scene);
			pk_settle(scene.kernel, scene.engine);
			for (int i = 0; i < 60; i++) {
				scene_question(&scene, &q);
				ask(&scene, &q);
			}
		}
		scene_done(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_agree),
		cmocka_unit_test(walks_agree_after_changes),
	};

	pw_init(&scene_dice, pw_seed());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
