/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints and what passes through the node: by uplinks, from and to pods, between pods, in
 * tunnels; and sets that have both ends free. Sources: as test_host.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "selftests/lib/host.h"

#define OTHER_UPLINK 78
#define STRANGER 79 /* an interface without programs */

/* The interface's endpoint judges what comes for a pod and what a pod sends out. */
static void test_forward_pod(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec in = host_tcp(WORLD, POD_A, family, 80),
				 in_back = scene_answer(&in);
		struct wire_spec out = host_tcp(POD_A, POD_FAR, family, 80), out_back;
		struct fixture_out result;

		host_again();
		host_close_all(); /* of the node itself: no matter */
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, host_port_80(MG_VERDICT_DROP));
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &in, &result);
		expect_delivery(&result, &in, SLOT_A);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &in_back, &result);
		expect_sent(&result);
		in.dport = 81;
		host_drops(MG_HOOK_FROM_NETDEV, &in, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, host_port_80(MG_VERDICT_DROP));
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_sent(&result);
		out.dport = 81;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_drop(&result, MG_DROP_HOST_EGRESS);
		/* of the live one: denied at the next packet of either end */
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, MG_SET_DROP_ALL);
		host_changed();
		out.dport = 80;
		out_back = scene_answer(&out);
		if (family == 4)
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		else
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &out_back, &result);
		expect_drop(&result, MG_DROP_HOST_EGRESS);
	}
}

/* A pod's translated connection as well, judged by what it was. */
static void test_forward_translated(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec out = host_tcp(POD_A, WORLD, family, 80);
		struct fixture_out result;
		struct mg_flow flow;

		host_again();
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, host_port_80(MG_VERDICT_DROP));
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_sent(&result);
		assert_true(fixture_flow(&node, &out, &flow) && flow.flags & MG_FLOW_SNAT);
		assert_int_equal(flow.side[1].place.at, UPLINK);
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, MG_SET_DROP_ALL);
		host_changed();
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &out, &result);
		expect_drop(&result, MG_DROP_HOST_EGRESS);
	}
}

/* Through the node, in and out: both interfaces' endpoints, and the answers by the same row. */
static void test_forward_router(void **state)
{
	const __u32 inside = UPLINK, outside = OTHER_UPLINK;
	struct mg_uplink other = { .mtu = UPLINK_MTU, .host = SLOT_ANY };

	(void)state;
	fixture_device(OTHER_UPLINK);
	fixture_device(STRANGER);
	EACH_FAMILY(family)
	{
		struct wire_spec spec = host_tcp(POD_FAR, NODE_FAR, family, 80),
				 back = scene_answer(&spec);
		struct fixture_out out;
		struct mg_flow flow;

		host_again();
		fixture_put(&node, "mg_uplinks", &outside, &other);
		host_close_all();
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, host_port_80(MG_VERDICT_DROP));
		host_judge(SLOT_ANY, MG_STAGE_FORWARD_OUT, host_port_80(MG_VERDICT_DROP));
		host_judge(SLOT_ANY, MG_STAGE_FORWARD_IN, MG_SET_DROP_ALL);
		host_meet(MG_HOOK_FROM_NETDEV, inside, 0, &spec, &out);
		assert_int_equal(out.code, -1);
		host_meet(MG_HOOK_TO_NETDEV, outside, inside, &spec, &out);
		assert_int_equal(out.code, -1);
		assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
		assert_int_equal(flow.side[0].place.at, inside);
		assert_int_equal(flow.side[1].place.at, outside);
		assert_int_equal(flow.packets + flow.back.packets, 1);
		host_meet(MG_HOOK_FROM_NETDEV, outside, 0, &back, &out);
		assert_int_equal(out.code, -1);
		host_meet(MG_HOOK_TO_NETDEV, inside, outside, &back, &out);
		assert_int_equal(out.code, -1);
		/* closed at the exit */
		host_judge(SLOT_ANY, MG_STAGE_FORWARD_OUT, MG_SET_DROP_ALL);
		host_changed();
		host_meet(MG_HOOK_FROM_NETDEV, inside, 0, &spec, &out);
		expect_drop(&out, MG_DROP_HOST_EGRESS);
		host_meet(MG_HOOK_FROM_NETDEV, inside, 0, &spec, &out);
		assert_int_equal(out.code, -1);
		host_meet(MG_HOOK_TO_NETDEV, outside, inside, &spec, &out);
		expect_drop(&out, MG_DROP_HOST_EGRESS);
		/* from an interface that is none of ours */
		host_again();
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, host_port_80(MG_VERDICT_DROP));
		host_meet(MG_HOOK_TO_NETDEV, inside, STRANGER, &spec, &out);
		assert_int_equal(out.code, -1);
		spec.dport = 81;
		host_meet(MG_HOOK_TO_NETDEV, inside, STRANGER, &spec, &out);
		expect_drop(&out, MG_DROP_HOST_EGRESS);
	}
	fixture_del(&node, "mg_uplinks", &outside);
}

/* The endpoint for all interfaces judges at pods' as well: in where they send, out where they
 * get; the node's own probes always pass. */
static void test_between_pods(void **state)
{
	static const enum mg_stage stages[] = { MG_STAGE_FORWARD_IN, MG_STAGE_FORWARD_OUT };

	(void)state;
	EACH_FAMILY(family)
	for (int i = 0; i < 2; i++) {
		struct wire_spec spec = host_tcp(POD_A, POD_B, family, 80);

		host_again();
		host_any_judges();
		host_judge(SLOT_ANY, stages[i], host_port_80(MG_VERDICT_DROP));
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
		spec.dport = 81;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     i ? MG_DROP_HOST_EGRESS : MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ANY, stages[i], MG_SET_DROP_ALL);
		host_changed();
		spec.dport = 80;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     i ? MG_DROP_HOST_EGRESS : MG_DROP_HOST_INGRESS);
		spec = host_tcp(NODE_OWN, POD_B, family, 80);
		scene_expect(&node, MG_HOOK_TO_POD, SLOT_B, &spec, TO_STACK, MG_DROP_NONE);
	}
}

static void test_pod_to_node(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec spec = host_tcp(POD_A, NODE_OWN, family, 80);

		host_again();
		host_any_judges();
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ANY, MG_STAGE_FORWARD_IN, MG_SET_DROP_ALL);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_STACK, MG_DROP_NONE);
		node.local.flags |= MG_LOCAL_POD_HOST_DROP;
		fixture_local(&node);
		host_changed();
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_HOST_CLOSED);
		node.local.flags ^= MG_LOCAL_POD_HOST_DROP | MG_LOCAL_POD_HOST_JUDGE;
		fixture_local(&node);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_IN, host_port_80(MG_VERDICT_DROP));
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_STACK, MG_DROP_NONE);
	}
}

/* In a tunnel the uplink's own endpoint sees nothing, the one for all interfaces does. */
static void test_tunnel(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec in = host_tcp(POD_FAR, NODE_OWN, family, 80);
		struct wire_spec out = host_tcp(NODE_OWN, POD_FAR, family, 80);
		struct outer_spec outer = uplink_outer(IPIP, 4, 0);
		struct wire wire, whole;
		struct fixture_out result;

		outer.from = NODE_FAR;
		outer.to = NODE_OWN;
		host_again();
		uplink_again(&node, MG_ADDR_IPIP, 4);
		node.local.flags |= MG_LOCAL_HOST_POLICY;
		host_any_judges();
		host_close_all();
		wire_make(&wire, &in);
		outer_make(&whole, &outer, &wire);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &result);
		assert_int_equal(result.code, -1);
		uplink_run_spec(&node, MG_HOOK_TO_NETDEV, &out, &result);
		expect_sent(&result);
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ANY, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_changed();
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &result);
		expect_drop(&result, MG_DROP_HOST_INGRESS);
		uplink_run_spec(&node, MG_HOOK_TO_NETDEV, &out, &result);
		expect_drop(&result, MG_DROP_HOST_EGRESS);
	}
}

/* A set that has both ends free: the near identity's table, in it the far one's class. */
static void test_both_ends(void **state)
{
	const __u32 allow = fixture_class(&node, &(struct mg_class){ .verdict = MG_VERDICT_ALLOW });
	const struct fixture_entry world[] = { { MG_IDENT_WORLD4, allow },
					       { MG_IDENT_WORLD6, allow } };
	const __u32 from_world = fixture_table(&node, world, 2);
	const struct fixture_entry near = { IDENT_A, from_world };
	struct mg_set set = { .table = fixture_table(&node, &near, 1), .flags = MG_SET_BOTH_ENDS };
	const __u32 number = node.sets++;

	(void)state;
	fixture_put_at(&node, "mg_sets", number, &set);
	EACH_FAMILY(family)
	{
		struct wire_spec spec = host_tcp(WORLD, POD_A, family, 80);
		struct fixture_out out;

		host_again();
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, number);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		expect_delivery(&out, &spec, SLOT_A);
		spec = host_tcp(WORLD, POD_B, family, 80);
		host_drops(MG_HOOK_FROM_NETDEV, &spec, MG_DROP_HOST_INGRESS);
		spec = host_tcp(NODE_FAR, POD_A, family, 80);
		fixture_ident(&node, place_text(NODE_FAR, family),
			      (struct mg_ident){
				      .identity = IDENT_FAR, .node = 2, .flags = MG_ADDR_HOST });
		host_drops(MG_HOOK_FROM_NETDEV, &spec, MG_DROP_HOST_INGRESS);
		spec = host_tcp(POD_A, WORLD, family, 80);
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_OUT, number);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward_pod),    cmocka_unit_test(test_forward_translated),
		cmocka_unit_test(test_forward_router), cmocka_unit_test(test_between_pods),
		cmocka_unit_test(test_pod_to_node),    cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_both_ends),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
