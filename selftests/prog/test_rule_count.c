/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules count (design section 4, "Rule numbers"): connections at once, packets and bytes when
 * the flow ends or is judged again; and what Log rules see (projectcalico.org/v3 Rule: Log goes on
 * to the next rule).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "selftests/lib/host.h"

#define OUT 10 /* rules of the sender, of the receiver */
#define IN 11
#define LOG_OUT 12
#define LOG_IN 13
#define IDENTITIES 16

/* A set in which this verdict is of every identity. */
static __u32 set_of(__u32 verdict)
{
	const struct mg_class class = { .verdict = verdict };
	const __u32 number = fixture_class(&node, &class);
	struct fixture_entry all[IDENTITIES];

	for (__u16 i = 0; i < IDENTITIES; i++)
		all[i] = (struct fixture_entry){ i, number };
	return fixture_set(&node, all, IDENTITIES);
}

static __u32 set_by(enum mg_action action, __u32 rule, __u32 log_rule)
{
	return set_of(fixture_verdict(&node, action, rule, log_rule));
}

static void begin(void)
{
	host_again();
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_by(MG_ACTION_ALLOW, OUT, 0));
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, set_by(MG_ACTION_ALLOW, IN, 0));
}

static void expect_rule(__u32 rule, __u64 connections, __u64 packets, __u64 bytes)
{
	struct mg_rule_stats stats = fixture_rule(&node, rule);

	assert_int_equal(stats.connections, connections);
	assert_int_equal(stats.packets, packets);
	assert_int_equal(stats.bytes, bytes);
}

static void passes(struct wire_spec *spec, __u16 slot, unsigned char flags)
{
	spec->tcp_flags = flags;
	scene_expect(&node, MG_HOOK_FROM_POD, slot, spec, TO_PEER, MG_DROP_NONE);
}

/* Both directions' packets go to the rules of both ends, once, when the connection ends. */
static void test_until_the_end(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		const __u64 size = family == 4 ? 40 : 60;
		struct wire_spec ab = host_tcp(POD_A, POD_B, family, 80), ba = scene_answer(&ab);

		begin();
		passes(&ab, SLOT_A, WIRE_SYN);
		passes(&ba, SLOT_B, WIRE_SYN | WIRE_ACK);
		passes(&ab, SLOT_A, WIRE_ACK);
		passes(&ab, SLOT_A, WIRE_FIN | WIRE_ACK);
		expect_rule(OUT, 1, 0, 0); /* the row has them */
		passes(&ba, SLOT_B, WIRE_FIN | WIRE_ACK);
		expect_rule(OUT, 1, 5, 5 * size);
		expect_rule(IN, 1, 5, 5 * size);
		/* the last segment goes when its row does: here for a new connection */
		passes(&ab, SLOT_A, WIRE_ACK);
		expect_rule(OUT, 1, 5, 5 * size);
		passes(&ab, SLOT_A, WIRE_SYN);
		expect_rule(OUT, 2, 6, 6 * size);
	}
}

/* A row that makes room for one of the other direction is not forgotten. */
static void test_opened_from_the_other_end(void **state)
{
	struct wire_spec ab = host_tcp(POD_A, POD_B, 4, 80), ba = scene_answer(&ab);

	(void)state;
	begin();
	passes(&ab, SLOT_A, WIRE_SYN);
	passes(&ba, SLOT_B, WIRE_SYN);
	expect_rule(OUT, 1, 1, 40);
	expect_rule(IN, 1, 1, 40);
}

/* Of a translated connection each row has one direction: both are counted. */
static void test_translated(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		const __u64 size = family == 4 ? 40 : 60;
		struct wire_spec out = host_tcp(POD_A, WORLD, family, 443), back;
		struct fixture_out result;
		struct mg_flow flow;

		begin();
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_sent(&result);
		assert_true(fixture_flow(&node, &out, &flow) && flow.flags & MG_FLOW_SNAT);
		back = scene_answer(&out);
		back.dst = flow.xlat;
		back.dport = ntohs(flow.way[1]);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &result);
		expect_rule(OUT, 1, 0, 0);
		/* no answer for a long time: both rows are over */
		flow.seen -= 1U << 24;
		fixture_flow_put(&node, &out, &flow);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_rule(OUT, 2, 2, 2 * size);
	}
}

/* The endpoint for all interfaces, at pods' interfaces: beside the pods' own rules. */
static void test_host_rules_at_pods(void **state)
{
	static const enum mg_stage stages[] = { MG_STAGE_FORWARD_IN, MG_STAGE_FORWARD_OUT };

	(void)state;
	EACH_FAMILY(family)
	for (int i = 0; i < 2; i++) {
		const __u64 size = family == 4 ? 40 : 60;
		struct wire_spec spec = host_tcp(POD_A, POD_B, family, 80);

		begin();
		host_any_judges();
		host_judge(SLOT_ANY, stages[i], host_port_80(MG_VERDICT_DROP));
		passes(&spec, SLOT_A, WIRE_SYN);
		passes(&spec, SLOT_A, WIRE_SYN);
		expect_rule(RULE, 1, 0, 0);
		host_judge(SLOT_ANY, stages[i], host_deny_by_rule());
		host_changed();
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     i ? MG_DROP_HOST_EGRESS : MG_DROP_HOST_INGRESS);
		expect_rule(RULE, 1, 2, 2 * size);
		expect_rule(OUT, 1, 2, 2 * size);
		expect_rule(IN, 1, 2, 2 * size);
		/* what no row is made of is counted at once */
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     i ? MG_DROP_HOST_EGRESS : MG_DROP_HOST_INGRESS);
		expect_rule(RULE + 1, 1, 1, size);
	}
}

/* --- Log ----------------------------------------------------------------------------------- */

static void expect_log(enum mg_reason reason, __u32 first, __u32 second)
{
	struct mg_event event;

	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_LOG);
	assert_int_equal(event.reason, reason);
	assert_int_equal(event.log_rule[0], first);
	assert_int_equal(event.log_rule[1], second);
	assert_int_equal(event.log_rule[2], MG_RULE_NONE);
}

/* Both ends' Log rules stand in one record, and what decides after them decides. */
static void test_log_of_both_ends(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		const __u64 size = family == 4 ? 40 : 60;
		struct wire_spec spec = host_tcp(POD_A, POD_B, family, 80);
		struct mg_event event;

		begin();
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT,
			       set_by(MG_ACTION_ALLOW, OUT, LOG_OUT));
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN,
			       set_by(MG_ACTION_ALLOW, IN, LOG_IN));
		passes(&spec, SLOT_A, WIRE_SYN);
		expect_log(MG_DROP_NONE, LOG_OUT, LOG_IN);
		passes(&spec, SLOT_A, WIRE_SYN);
		assert_false(fixture_event(&node, &event)); /* judged once, logged once */
		expect_rule(LOG_OUT, 1, 1, size);
		expect_rule(LOG_IN, 1, 1, size);
		/* denied by the end of a tier, which no rule is of */
		begin();
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT,
			       set_by(MG_ACTION_DENY, MG_RULE_NONE, LOG_OUT));
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     MG_DROP_POLICY_EGRESS);
		assert_true(fixture_event(&node, &event));
		assert_int_equal(event.kind, MG_EVENT_DROP);
		expect_log(MG_DROP_POLICY_EGRESS, LOG_OUT, MG_RULE_NONE);
		expect_rule(LOG_OUT, 1, 1, size);
	}
}

/* A refusal that the sender is told of is no less one. */
static void test_log_of_refused(void **state)
{
	struct wire_spec spec = host_tcp(POD_A, POD_B, 4, 80);
	struct fixture_out out;
	struct mg_event event;

	(void)state;
	begin();
	passes(&spec, SLOT_A, WIRE_SYN);
	node.local.flags |= MG_LOCAL_RST;
	fixture_local(&node);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT,
		       set_by(MG_ACTION_DENY, OUT, LOG_OUT));
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	spec.tcp_flags = WIRE_ACK;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	assert_int_equal(out.reason, MG_DROP_POLICY_EGRESS);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_DROP);
	expect_log(MG_DROP_POLICY_EGRESS, LOG_OUT, MG_RULE_NONE);
	assert_false(fixture_event(&node, &event));
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_ALLOW_ALL);
}

/* A host endpoint's beside a pod's. */
static void test_log_of_host(void **state)
{
	struct wire_spec spec = host_tcp(POD_A, POD_B, 4, 80);

	(void)state;
	begin();
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT,
		       set_by(MG_ACTION_ALLOW, OUT, LOG_OUT));
	host_any_judges();
	host_judge(SLOT_ANY, MG_STAGE_FORWARD_IN, set_by(MG_ACTION_DENY, RULE, LOG_IN));
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_HOST_INGRESS);
	assert_true(fixture_event(&node, &(struct mg_event){ 0 }));
	expect_log(MG_DROP_HOST_INGRESS, LOG_OUT, LOG_IN);
}

/* A flood is counted; of records there are as many as one or two windows hold. */
static void test_log_flood(void **state)
{
	struct wire_spec spec = host_tcp(POD_A, POD_B, 4, 80);
	unsigned int records = 0;
	struct mg_event event;

	(void)state;
	begin();
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT,
		       set_by(MG_ACTION_ALLOW, OUT, LOG_OUT));
	for (unsigned int i = 0; i < 100; i++) {
		spec.sport = (unsigned short)(30000 + i);
		passes(&spec, SLOT_A, WIRE_SYN);
	}
	while (fixture_event(&node, &event))
		records += event.kind == MG_EVENT_LOG;
	expect_rule(LOG_OUT, 100, 100, 100 * 40);
	assert_in_range(records, 1, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_the_end),
		cmocka_unit_test(test_opened_from_the_other_end),
		cmocka_unit_test(test_translated),
		cmocka_unit_test(test_host_rules_at_pods),
		cmocka_unit_test(test_log_of_both_ends),
		cmocka_unit_test(test_log_of_refused),
		cmocka_unit_test(test_log_of_host),
		cmocka_unit_test(test_log_flood),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
