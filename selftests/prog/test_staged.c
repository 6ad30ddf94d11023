/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staged policies through from_pod: judged beside those in force, decide nothing, and stand in the
 * flow's row, in events, in the step log and in their rules' counters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>

#include "selftests/lib/scene.h"

static struct wire_spec packet(enum place from, enum place to, int family, unsigned char proto,
			       __u16 dport)
{
	struct wire_spec spec = scene_packet(from, to, family);

	spec.proto = proto;
	spec.sport = 40000;
	spec.dport = dport;
	spec.tcp_flags = WIRE_SYN;
	return spec;
}

static void sends(__u16 slot, const struct wire_spec *spec, enum fate fate, enum mg_reason reason)
{
	scene_expect(&node, MG_HOOK_FROM_POD, slot, spec, fate, reason);
}

/* Assigns the sender's sets; staged_verdict 0: nothing staged. */
static void sender_sets(__u32 column, __u32 verdict, __u32 staged_verdict)
{
	struct mg_class class = { .verdict = verdict }, staged = { .verdict = staged_verdict };

	fixture_assign(&node, SLOT_A, column, MG_STAGE_WORKLOAD_OUT,
		       fixture_set_for(&node, IDENT_B, &class));
	fixture_assign(&node, SLOT_A, column, MG_STAGE_STAGED_OUT,
		       staged_verdict ? fixture_set_for(&node, IDENT_B, &staged) : MG_SET_NONE);
}

/* Beside what is in force: the verdict is that of the policy in force, row and counters have both.
 */
static void test_staged_beside(void **state)
{
	struct wire_spec spec = packet(POD_A, POD_B, 6, IPPROTO_UDP, 53);
	struct fixture_out out;
	struct mg_flow flow;

	(void)state;
	scene_again(&node);
	sender_sets(0, fixture_verdict(&node, MG_ACTION_ALLOW, 31, 0),
		    fixture_staged(&node, MG_ACTION_DENY, 32));
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	assert_int_equal(out.code, TC_ACT_REDIRECT);
	assert_int_equal(fixture_step(&out, MG_STEP_STAGED_EGRESS)->c, 32);
	assert_null(fixture_step(&out, MG_STEP_STAGED_INGRESS));
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(flow.side[0].judged.rule, 31);
	assert_int_equal(flow.side[0].judged.staged_rule, 32);
	assert_int_not_equal(flow.side[0].judged.staged_set, 0);
	assert_int_equal(flow.side[1].judged.staged_set, 0);
	assert_int_equal(fixture_rule(&node, 31).connections, 1);
	assert_int_equal(fixture_rule(&node, 32).connections, 1);
	sends(SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
	/* taken away: the next packet is judged anew, and what was counted goes to its rules */
	sender_sets(1, fixture_verdict(&node, MG_ACTION_ALLOW, 31, 0), 0);
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	sends(SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(flow.side[0].judged.staged_set, 0);
	assert_int_equal(flow.side[0].judged.staged_rule, MG_RULE_NONE);
	assert_int_equal(fixture_rule(&node, 31).packets, 2);
	assert_int_equal(fixture_rule(&node, 32).packets, 2);
	assert_int_equal(fixture_rule(&node, 32).connections, 1);
}

/* A live flow learns of a policy that is staged later, in both directions of its packets. */
static void test_staged_later(void **state)
{
	struct wire_spec ab = packet(POD_A, POD_B, 4, IPPROTO_UDP, 53), ba = ab;
	struct mg_flow flow;

	(void)state;
	scene_again(&node);
	ba.src = ab.dst;
	ba.dst = ab.src;
	ba.sport = ab.dport;
	ba.dport = ab.sport;
	pod_mac(SLOT_B, ba.from);
	sends(SLOT_A, &ab, TO_PEER, MG_DROP_NONE);
	for (int column = 1; column <= 2; column++) {
		sender_sets(column, MG_VERDICT_ALLOW, fixture_staged(&node, MG_ACTION_DENY, 33));
		fixture_commit(&node, (struct mg_commit){ .column = column });
		sends(column == 1 ? SLOT_A : SLOT_B, column == 1 ? &ab : &ba, TO_PEER,
		      MG_DROP_NONE);
		assert_int_equal(fixture_flow(&node, &ab, &flow), 1);
		assert_int_equal(flow.side[0].judged.staged_rule, 33);
	}
}

/* What policy in force denies is judged by the staged ones as well, at both ends. */
static void test_staged_denied(void **state)
{
	struct wire_spec spec = packet(POD_A, POD_B, 4, IPPROTO_TCP, 80);
	struct mg_event event;

	(void)state;
	scene_again(&node);
	sender_sets(0, fixture_verdict(&node, MG_ACTION_DENY, 34, 0),
		    fixture_staged(&node, MG_ACTION_ALLOW, 35));
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	sends(SLOT_A, &spec, DROPPED, MG_DROP_POLICY_EGRESS);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.judged[0].rule, 34);
	assert_int_equal(event.judged[0].staged_rule, 35);
	assert_int_equal(event.judged[1].set, 0); /* nobody got so far */
	assert_int_equal(event.judged[1].staged_set, MG_SET_DROP_ALL);
	assert_int_equal(event.judged[1].staged_rule, MG_RULE_DENIED);
	assert_int_equal(fixture_rule(&node, 35).connections, 1);
	assert_int_equal(fixture_rule(&node, 35).packets, 1);
}

/* A rule in force that would decide were staged policies in force is not counted for it. */
static void test_staged_by_rule_in_force(void **state)
{
	struct wire_spec spec = packet(POD_A, POD_B, 4, IPPROTO_UDP, 53);
	struct mg_flow flow;

	(void)state;
	scene_again(&node);
	sender_sets(0, MG_VERDICT_ALLOW, fixture_verdict(&node, MG_ACTION_DENY, 36, 0));
	sends(SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(flow.side[0].judged.staged_rule, MG_RULE_DENIED);
	assert_int_equal(fixture_rule(&node, 36).connections, 0);
	sender_sets(0, MG_VERDICT_ALLOW, fixture_verdict(&node, MG_ACTION_ALLOW, 36, 0));
	fixture_forget(&node);
	sends(SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(flow.side[0].judged.staged_rule, MG_RULE_NONE);
	assert_int_equal(fixture_rule(&node, 36).connections, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_staged_beside),
		cmocka_unit_test(test_staged_later),
		cmocka_unit_test(test_staged_denied),
		cmocka_unit_test(test_staged_by_rule_in_force),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
