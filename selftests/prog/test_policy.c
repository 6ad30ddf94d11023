/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's reader (design section 4) through from_pod: verdicts by identity, protocol, port
 * and ICMP type; the commit's columns; stamps and judging again; what rules count and tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "selftests/lib/scene.h"

static struct wire_spec packet(enum place from, enum place to, int family, int proto, __u16 dport)
{
	struct wire_spec spec = scene_packet(from, to, family);

	spec.proto = (unsigned char)proto;
	spec.sport = 40000;
	spec.dport = dport;
	spec.icmp_id = 99;
	spec.tcp_flags = WIRE_SYN;
	return spec;
}

static __u16 slot_of(enum place place)
{
	return place == POD_B ? SLOT_B : SLOT_A;
}

/* Sends from a pod and expects; each is a new flow. */
static void sends(enum place from, const struct wire_spec *spec, enum fate fate,
		  enum mg_reason reason)
{
	scene_expect(&node, MG_HOOK_FROM_POD, slot_of(from), spec, fate, reason);
}

static void sends_new(const struct wire_spec *spec, enum fate fate, enum mg_reason reason)
{
	fixture_forget(&node);
	sends(POD_A, spec, fate, reason);
}

/* A set that knows one identity, with this class. */
static __u32 set_for(__u16 identity, const struct mg_class *class)
{
	return fixture_set_for(&node, identity, class);
}

static __u32 ports(const struct fixture_entry *entries, unsigned int count)
{
	return fixture_table(&node, entries, count);
}

/* --- sides --------------------------------------------------------------------------------- */
static void test_sides(void **state)
{
	struct mg_class allow = { .verdict = MG_VERDICT_ALLOW };
	struct wire_spec spec;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		spec = packet(POD_A, POD_B, family, IPPROTO_UDP, 53);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &allow));
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_FAR, &allow));
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_ALLOW_ALL);
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		sends_new(&spec, DROPPED, MG_DROP_POLICY_INGRESS);
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, set_for(IDENT_A, &allow));
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		/* the host is a peer by its address; what it does with the packet is its matter */
		spec = packet(POD_A, NODE_OWN, family, IPPROTO_UDP, 53);
		sends_new(&spec, TO_STACK, MG_DROP_NONE);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &allow));
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	}
}

/* Identities 0 and 1 stand for the world, 2 and 3 for pods not known yet. */
static void test_identities(void **state)
{
	struct mg_class allow = { .verdict = MG_VERDICT_ALLOW };
	struct mg_ident named = { .identity = 300 };
	struct wire_spec spec;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &allow));
		spec = packet(POD_A, POOL_FAR, family, IPPROTO_UDP, 53);
		sends_new(&spec, DROPPED, MG_DROP_UNKNOWN_PEER);
		spec = packet(POD_A, WORLD, family, IPPROTO_UDP, 53);
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		/* a net that a rule names: identity 300 is in the table's second leaf */
		fixture_net(&node, family == 4 ? "203.0.113.0/24" : "2001:db8::/32", named);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(300, &allow));
		spec.dport = 54;
		fixture_forget(&node);
		struct fixture_out out;

		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		assert_int_not_equal(out.reason, MG_DROP_POLICY_EGRESS);
		assert_int_equal(fixture_step(&out, MG_STEP_DESTINATION)->a, 300);
		assert_int_equal(fixture_step(&out, MG_STEP_EGRESS)->b, MG_VERDICT_ALLOW);
		fixture_net(&node, family == 4 ? "203.0.113.0/24" : "2001:db8::/32",
			    (struct mg_ident){ .identity = family == 4 ? 0 : 1 });
	}
}

static void test_self(void **state)
{
	struct wire_spec spec;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		spec = packet(POD_A, POD_A, family, IPPROTO_UDP, 53);
		spec.sport = 999;
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
	}
}

/* --- protocol and port --------------------------------------------------------------------- */
static void test_ports(void **state)
{
	__u32 allow, deny;
	struct mg_class class = { 0 };
	struct wire_spec spec;

	(void)state;
	scene_again(&node);
	allow = fixture_verdict(&node, MG_ACTION_ALLOW, 7, 0);
	deny = fixture_verdict(&node, MG_ACTION_DENY, 8, 0);
	/* TCP: 80 and 8080 pass; UDP: all but 53; SCTP: no table, the default */
	class.verdict = MG_VERDICT_DROP;
	class.l4[MG_L4_TCP] = ports((struct fixture_entry[]){ { 80, allow + 1 },
							      { 8080, allow + 1 },
							      { 81, deny + 1 } },
				    3);
	class.l4[MG_L4_UDP] = ports((struct fixture_entry[]){ { 53, allow + 1 } }, 1);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	for (int family = 4; family <= 6; family += 2) {
		spec = packet(POD_A, POD_B, family, IPPROTO_TCP, 80);
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		assert_int_equal(fixture_rule(&node, 7).connections, 1);
		spec.dport = 8080;
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		spec.dport = 81;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		assert_int_equal(fixture_rule(&node, 8).connections, 1);
		assert_int_equal(fixture_rule(&node, 8).packets, 1);
		spec.dport = 82;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		spec = packet(POD_A, POD_B, family, IPPROTO_UDP, 53);
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		spec.dport = 80;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		spec = packet(POD_A, POD_B, family, IPPROTO_SCTP, 80);
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	}
}

static void test_source_ports(void **state)
{
	struct mg_class open = { .verdict = MG_VERDICT_ALLOW }, class = { 0 };
	struct wire_spec spec;

	(void)state;
	scene_again(&node);
	class.sport = ports((struct fixture_entry[]){ { 40000, fixture_class(&node, &open) } }, 1);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	for (int family = 4; family <= 6; family += 2) {
		spec = packet(POD_A, POD_B, family, IPPROTO_TCP, 80);
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		spec.sport = 40001;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	}
}

static void test_icmp_types(void **state)
{
	struct mg_class class = { 0 };
	struct wire_spec spec;
	__u32 allow = MG_VERDICT_ALLOW + 1;

	(void)state;
	scene_again(&node);
	class.l4[MG_L4_ICMP] = ports((struct fixture_entry[]){ { 8 << 8, allow } }, 1);
	class.l4[MG_L4_ICMP6] = ports((struct fixture_entry[]){ { 128 << 8, allow } }, 1);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
	for (int family = 4; family <= 6; family += 2) {
		spec = packet(POD_A, POD_B, family, IPPROTO_ICMP, 0);
		spec.icmp_type = family == 4 ? 8 : 128;
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		/* the answer needs no rule */
		spec = packet(POD_B, POD_A, family, IPPROTO_ICMP, 0);
		spec.icmp_type = family == 4 ? 0 : 129;
		sends(POD_B, &spec, TO_PEER, MG_DROP_NONE);
		/* another code, another type */
		spec = packet(POD_A, POD_B, family, IPPROTO_ICMP, 0);
		spec.icmp_type = family == 4 ? 8 : 128;
		spec.icmp_code = 1;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		spec.icmp_type = family == 4 ? 13 : 150;
		spec.icmp_code = 0;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	}
}

static void test_other_protocols(void **state)
{
	struct mg_class class = { .verdict = MG_VERDICT_DROP,
				  .other_proto = { 47, 50 },
				  .other_verdict = { MG_VERDICT_ALLOW, MG_VERDICT_DROP } };
	struct wire_spec spec;

	(void)state;
	scene_again(&node);
	class.proto_table = ports((struct fixture_entry[]){ { 88, MG_VERDICT_ALLOW + 1 },
							    { 50, MG_VERDICT_ALLOW + 1 } },
				  2);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	for (int family = 4; family <= 6; family += 2) {
		spec = packet(POD_A, POD_B, family, 47, 0);
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		spec.proto = 50; /* the class row comes before its table */
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
		spec.proto = 88;
		sends_new(&spec, TO_PEER, MG_DROP_NONE);
		spec.proto = 89;
		sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	}
}

/* Rows that are not there deny. */
static void test_missing_rows(void **state)
{
	const struct fixture_entry nowhere = { IDENT_B, 30000 };
	struct mg_class class = { .verdict = 60000 };
	struct wire_spec spec = packet(POD_A, POD_B, 4, IPPROTO_TCP, 80);

	(void)state;
	scene_again(&node);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, 9999); /* set of zeroes */
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, 1000000); /* no such set */
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, fixture_set(&node, &nowhere, 1));
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	class = (struct mg_class){ .l4 = { 250 * MG_CHUNK_PAGES } }; /* in no chunk */
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
}

/* --- commits ------------------------------------------------------------------------------- */
static void test_columns(void **state)
{
	struct wire_spec spec = packet(POD_A, POD_B, 4, IPPROTO_TCP, 80);

	(void)state;
	scene_again(&node);
	fixture_assign(&node, SLOT_A, 2, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
	sends_new(&spec, TO_PEER, MG_DROP_NONE);
	fixture_commit(&node, (struct mg_commit){ .column = 2 });
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	/* to be confirmed, with time left; then with none */
	fixture_commit(&node,
		       (struct mg_commit){ .column = 2,
					   .fallback = 3,
					   .deadline = fixture_boot_time() + 60000000000ULL });
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	fixture_commit(&node, (struct mg_commit){ .column = 2,
						  .fallback = 3,
						  .deadline = fixture_boot_time() - 1 });
	sends_new(&spec, TO_PEER, MG_DROP_NONE);
}

/* Past the deadline the fall-back reaches live flows, although no counter was raised. */
static void test_deadline_reaches_flows(void **state)
{
	struct wire_spec spec = packet(POD_A, POD_B, 6, IPPROTO_UDP, 80);
	struct timespec wait = { .tv_nsec = 5000000 };
	__u64 deadline = fixture_boot_time() + 300000000ULL, limit = deadline + 2000000000ULL;
	struct fixture_out out;

	(void)state;
	scene_again(&node);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
	fixture_commit(&node,
		       (struct mg_commit){ .column = 0, .fallback = 1, .deadline = deadline });
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	assert_int_equal(out.reason, fixture_boot_time() < deadline ? MG_DROP_NONE : out.reason);
	while (fixture_boot_time() <= deadline && fixture_boot_time() < limit)
		nanosleep(&wait, NULL);
	sends(POD_A, &spec, DROPPED, MG_DROP_POLICY_EGRESS);
}

/* --- stamps -------------------------------------------------------------------------------- */
/* The first packet after a change that concerns the flow is judged again, in either direction. */
static void test_revoked(void **state)
{
	struct mg_flow flow;
	struct wire_spec ab, ba;

	(void)state;
	for (int i = 0; i < 8; i++) {
		int family = i & 1 ? 6 : 4;
		bool back = i & 2, receiver = i & 4;

		scene_again(&node);
		ab = packet(POD_A, POD_B, family, IPPROTO_UDP, 53);
		ba = packet(POD_B, POD_A, family, IPPROTO_UDP, 40000);
		ba.sport = 53;
		sends(POD_A, &ab, TO_PEER, MG_DROP_NONE);
		sends(POD_B, &ba, TO_PEER, MG_DROP_NONE);
		if (receiver)
			fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		else
			fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		sends(POD_A, &ab, TO_PEER, MG_DROP_NONE); /* not yet in force */
		fixture_commit(&node, (struct mg_commit){ .column = 1 });
		sends(back ? POD_B : POD_A, back ? &ba : &ab, DROPPED,
		      receiver ? MG_DROP_POLICY_INGRESS : MG_DROP_POLICY_EGRESS);
		assert_int_equal(fixture_flow(&node, &ab, &flow), 0);
	}
}

/* Allowed by another set: the flow lives on with the new stamp. */
static void test_judged_again(void **state)
{
	struct mg_class allow = { 0 };
	struct wire_spec spec = packet(POD_A, POD_B, 4, IPPROTO_UDP, 53);
	struct mg_flow flow;
	struct fixture_out out;
	__u32 set;

	(void)state;
	scene_again(&node);
	allow.verdict = fixture_verdict(&node, MG_ACTION_ALLOW, 11, 0);
	set = set_for(IDENT_B, &allow);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set);
	sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
	sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_int_equal(fixture_rule(&node, 11).packets, 0); /* kept in the flow */
	allow.verdict = fixture_verdict(&node, MG_ACTION_ALLOW, 12, 0);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &allow));
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(flow.side[0].judged.set, set + 1);
	assert_int_equal(flow.side[0].judged.rule, 12);
	assert_int_equal(flow.change, fixture_control(&node).change);
	assert_int_equal(fixture_rule(&node, 11).packets, 2); /* folded */
	assert_int_equal(fixture_rule(&node, 11).connections, 1);
	/* a change that does not concern it: no judgement */
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	assert_null(fixture_step(&out, MG_STEP_EGRESS));
	assert_int_equal(out.code, TC_ACT_REDIRECT);
}

/* A peer that changes its identity, or an address that gets its row late. */
static void test_epochs(void **state)
{
	struct mg_class allow = { .verdict = MG_VERDICT_ALLOW };
	struct mg_ident changed = {
		.identity = 77, .node = 1, .slot = SLOT_B, .flags = MG_ADDR_POD | MG_ADDR_LOCAL
	};
	struct mg_control control;
	struct wire_spec spec;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		spec = packet(POD_A, POD_B, family, IPPROTO_UDP, 53);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &allow));
		sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
		fixture_ident(&node, place_text(POD_B, family), changed);
		fixture_touch(&node, place_text(POD_B, family));
		sends(POD_A, &spec, DROPPED, MG_DROP_POLICY_EGRESS);
		/* nets concern only addresses without a row */
		scene_again(&node);
		sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
		control = fixture_control(&node);
		control.net_epoch++;
		control.change++;
		fixture_control_put(&node, &control);
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
	}
}

/* --- records ------------------------------------------------------------------------------- */
static void test_log_and_flow_records(void **state)
{
	struct mg_class class = { 0 };
	struct wire_spec spec = packet(POD_A, POD_B, 6, IPPROTO_TCP, 80);
	struct mg_event event;

	(void)state;
	scene_again(&node);
	class.verdict = fixture_verdict(&node, MG_ACTION_ALLOW, 21, 20);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	sends_new(&spec, TO_PEER, MG_DROP_NONE);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_LOG);
	assert_int_equal(event.log_rule[0], 20);
	assert_int_equal(event.judged[0].rule, 21);
	assert_int_equal(event.identity[0], IDENT_A);
	assert_int_equal(event.identity[1], IDENT_B);
	assert_int_equal(event.slot[0], SLOT_A);
	assert_int_equal(event.slot[1], SLOT_B);
	assert_false(fixture_event(&node, &event)); /* nobody reads flows */
	node.local.flags |= MG_LOCAL_FLOW_EVENTS;
	fixture_local(&node);
	class.verdict = MG_VERDICT_ALLOW;
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	sends_new(&spec, TO_PEER, MG_DROP_NONE);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_FLOW);
	assert_int_equal(ntohs(event.dport), 80);
	spec.tcp_flags = WIRE_ACK;
	sends(POD_A, &spec, TO_PEER, MG_DROP_NONE);
	assert_false(fixture_event(&node, &event)); /* a known flow is no news */
	/* a denied packet that a Log rule saw is told as both */
	class.verdict = fixture_verdict(&node, MG_ACTION_DENY, 23, 22);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set_for(IDENT_B, &class));
	spec.tcp_flags = WIRE_SYN;
	sends_new(&spec, DROPPED, MG_DROP_POLICY_EGRESS);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_DROP);
	assert_int_equal(event.judged[0].rule, 23);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_LOG);
	assert_int_equal(event.log_rule[0], 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_identities),

		cmocka_unit_test(test_self),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_source_ports),
		cmocka_unit_test(test_icmp_types),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_missing_rows),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_deadline_reaches_flows),
		cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_judged_again),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_log_and_flow_records),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
