/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints and the node's own connections: normal policies, failsafe ports, what is known
 * passes, changes reach live connections; untracked and preDNAT policies. Sources: the design's
 * section 4; Calico's host endpoint policy (order of stages, failsafe ports,
 * defaultEndpointToHostAction).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "selftests/lib/host.h"

/* --- the node's own connections ----------------------------------------------------------- */

/* What is let in is remembered: its answers need no rule. */
static void test_in(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec good = host_tcp(WORLD, NODE_OWN, family, 80),
				 back = scene_answer(&good);
		struct wire_spec bad = host_tcp(WORLD, NODE_OWN, family, 81);
		struct mg_flow flow;

		host_again();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, host_port_80(MG_VERDICT_DROP));
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_passes(MG_HOOK_FROM_NETDEV, &good);
		assert_int_equal(fixture_flow(&node, &good, &flow), 1);
		assert_int_equal(flow.side[0].place.at, UPLINK);
		assert_int_equal(flow.side[1].place.at, MG_SIDE_OWN);
		assert_int_equal(flow.side[0].place.rule, RULE);
		assert_int_equal(fixture_rule(&node, RULE).connections, 1);
		host_passes(MG_HOOK_TO_NETDEV, &back);
		good.tcp_flags = WIRE_ACK;
		host_passes(MG_HOOK_FROM_NETDEV, &good);
		assert_int_equal(fixture_flow(&node, &good, &flow), 2);
		host_drops(MG_HOOK_FROM_NETDEV, &bad, MG_DROP_HOST_INGRESS);
		assert_int_equal(fixture_flow(&node, &bad, &flow), 0);
		back.sport = 81;
		host_drops(MG_HOOK_TO_NETDEV, &back, MG_DROP_HOST_EGRESS);
	}
}

static void test_out(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec good = host_tcp(NODE_OWN, WORLD, family, 80),
				 back = scene_answer(&good);
		struct wire_spec bad = host_tcp(NODE_OWN, WORLD, family, 81);
		struct mg_flow flow;

		host_again();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, host_port_80(MG_VERDICT_DROP));
		host_passes(MG_HOOK_TO_NETDEV, &good);
		assert_int_equal(fixture_flow(&node, &good, &flow), 1);
		assert_int_equal(flow.side[0].place.at, MG_SIDE_OWN);
		assert_int_equal(flow.side[1].place.at, UPLINK);
		host_passes(MG_HOOK_FROM_NETDEV, &back);
		good.tcp_flags = WIRE_ACK;
		host_passes(MG_HOOK_TO_NETDEV, &good);
		assert_int_equal(fixture_flow(&node, &good, &flow), 2);
		host_drops(MG_HOOK_TO_NETDEV, &bad, MG_DROP_HOST_EGRESS);
		back.sport = 81;
		host_drops(MG_HOOK_FROM_NETDEV, &back, MG_DROP_HOST_INGRESS);
	}
}

/* Without an endpoint at the interface nothing is judged, nor kept. */
static void test_no_endpoint(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec in = host_tcp(WORLD, NODE_OWN, family, 80);
		struct wire_spec out = host_tcp(NODE_OWN, WORLD, family, 80);
		struct mg_flow flow;

		host_again();
		uplink_again(&node, 0, 0);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_passes(MG_HOOK_FROM_NETDEV, &in);
		host_passes(MG_HOOK_TO_NETDEV, &out);
		assert_int_equal(fixture_flow(&node, &in, &flow), 0);
		assert_int_equal(fixture_flow(&node, &out, &flow), 0);
	}
}

static void test_failsafe(void **state)
{
	(void)state;
	host_failsafe(MG_FAILSAFE_IN, 22, "203.0.113.0", 96 + 24);
	host_failsafe(MG_FAILSAFE_IN, 22, "2001:db8::", 32);
	host_failsafe(MG_FAILSAFE_OUT, 6443, "0.0.0.0", 96);
	host_failsafe(MG_FAILSAFE_OUT, 6443, "::", 0);
	EACH_FAMILY(family)
	{
		struct wire_spec in = host_tcp(WORLD, NODE_OWN, family, 22),
				 in_back = scene_answer(&in);
		struct wire_spec out = host_tcp(NODE_OWN, WORLD, family, 6443),
				 out_back = scene_answer(&out);
		struct wire_spec other = host_tcp(NODE_FAR, NODE_OWN, family, 22);

		host_again();
		host_close_all();
		host_judge(SLOT_ETH, MG_STAGE_PREDNAT, MG_SET_DROP_ALL);
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_IN, host_deny_by_rule());
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_OUT, MG_SET_NONE);
		host_passes(MG_HOOK_FROM_NETDEV, &in);
		host_passes(MG_HOOK_TO_NETDEV, &in_back);
		host_drops(MG_HOOK_FROM_NETDEV, &other, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_IN, MG_SET_NONE);
		host_passes(MG_HOOK_TO_NETDEV, &out);
		host_passes(MG_HOOK_FROM_NETDEV, &out_back);
		/* whoever is asked may not ask back, and a list is of one direction */
		other = host_tcp(WORLD, NODE_OWN, family, 6443);
		host_drops(MG_HOOK_FROM_NETDEV, &other, MG_DROP_HOST_INGRESS);
		other = host_tcp(NODE_OWN, WORLD, family, 22);
		host_drops(MG_HOOK_TO_NETDEV, &other, MG_DROP_HOST_EGRESS);
		/* it stays open when policies change */
		host_changed();
		host_passes(MG_HOOK_FROM_NETDEV, &in);
	}
}

/* A connection from before the endpoint, seen from either end first, goes on where policy would
 * let it be opened; nothing else does. */
static void test_midstream(void **state)
{
	static const enum mg_hook hooks[] = { MG_HOOK_FROM_NETDEV, MG_HOOK_TO_NETDEV };

	(void)state;
	EACH_FAMILY(family)
	for (int first = 0; first < 2; first++) {
		struct wire_spec ways[2] = { host_tcp(WORLD, NODE_OWN, family, 80) };
		struct wire_spec bad = host_tcp(WORLD, NODE_OWN, family, 81);

		ways[1] = scene_answer(&ways[0]);
		ways[0].tcp_flags = ways[1].tcp_flags = bad.tcp_flags = WIRE_ACK;
		host_again();
		host_close_all();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, host_port_80(MG_VERDICT_DROP));
		host_passes(hooks[first], &ways[first]);
		host_passes(hooks[!first], &ways[!first]);
		host_changed();
		host_passes(hooks[first], &ways[first]);
		host_drops(MG_HOOK_FROM_NETDEV, &bad, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_changed();
		host_drops(hooks[!first], &ways[!first], MG_DROP_HOST_INGRESS);
	}
}

/* A changed policy ends a live connection, whichever end speaks first. */
static void test_revoked(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	for (int back_first = 0; back_first < 2; back_first++) {
		struct wire_spec spec = host_tcp(WORLD, NODE_OWN, family, 80),
				 back = scene_answer(&spec);
		struct mg_flow flow;

		host_again();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, host_port_80(MG_VERDICT_DROP));
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_passes(MG_HOOK_FROM_NETDEV, &spec);
		host_passes(MG_HOOK_TO_NETDEV, &back);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_changed();
		if (back_first)
			host_drops(MG_HOOK_TO_NETDEV, &back, MG_DROP_HOST_INGRESS);
		else
			host_drops(MG_HOOK_FROM_NETDEV, &spec, MG_DROP_HOST_INGRESS);
		assert_int_equal(fixture_flow(&node, &spec, &flow), 0);
	}
}

/* --- other stages ------------------------------------------------------------------------- */

/* What preDNAT allows has passed the others; what it says nothing of has not. */
static void test_prednat(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec own = host_tcp(WORLD, NODE_OWN, family, 80);
		struct wire_spec pod = host_tcp(WORLD, POD_A, family, 80);
		struct fixture_out out;

		host_again();
		host_close_all();
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ETH, MG_STAGE_PREDNAT, host_port_80(MG_VERDICT_ALLOW));
		host_passes(MG_HOOK_FROM_NETDEV, &own);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &pod, &out);
		expect_delivery(&out, &pod, SLOT_A);
		own.dport = pod.dport = 81;
		host_drops(MG_HOOK_FROM_NETDEV, &own, MG_DROP_HOST_INGRESS);
		host_drops(MG_HOOK_FROM_NETDEV, &pod, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_ALLOW_ALL);
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, MG_SET_NONE);
		host_passes(MG_HOOK_FROM_NETDEV, &own);
		host_judge(SLOT_ETH, MG_STAGE_PREDNAT, host_deny_by_rule());
		host_changed();
		host_drops(MG_HOOK_FROM_NETDEV, &own, MG_DROP_HOST_INGRESS);
		host_drops(MG_HOOK_FROM_NETDEV, &pod, MG_DROP_HOST_INGRESS);
	}
}

/* Allowed without a trace of it, so both directions need their rule; what no rule decides goes on
 * to the others. */
static void test_untracked(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec spec = host_tcp(WORLD, NODE_OWN, family, 80),
				 back = scene_answer(&spec);
		struct wire_spec out = host_tcp(NODE_OWN, WORLD, family, 80);
		struct mg_flow flow;

		host_again();
		host_close_all();
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_IN, host_port_80(MG_VERDICT_ALLOW));
		host_passes(MG_HOOK_FROM_NETDEV, &spec);
		assert_int_equal(fixture_flow(&node, &spec, &flow), 0);
		assert_int_equal(fixture_rule(&node, RULE).packets, 1);
		host_drops(MG_HOOK_TO_NETDEV, &back, MG_DROP_HOST_EGRESS);
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_OUT, host_port_80(MG_VERDICT_ALLOW));
		host_passes(MG_HOOK_TO_NETDEV, &out);
		assert_int_equal(fixture_flow(&node, &out, &flow), 0);
		spec.dport = 81;
		host_drops(MG_HOOK_FROM_NETDEV, &spec, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_ALLOW_ALL);
		host_passes(MG_HOOK_FROM_NETDEV, &spec);
		assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
		/* a known flow does not help against a denial */
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_IN, host_deny_by_rule());
		host_drops(MG_HOOK_FROM_NETDEV, &spec, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_UNTRACKED_OUT, host_deny_by_rule());
		host_drops(MG_HOOK_TO_NETDEV, &out, MG_DROP_HOST_EGRESS);
	}
}

/* --- what is no connection ---------------------------------------------------------------- */

/* Errors about what is known pass, others are judged; a link works without a rule. */
static void test_icmp(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec spec = host_tcp(NODE_OWN, WORLD, family, 80);
		struct wire_spec error = scene_packet(NODE_FAR, NODE_OWN, family);
		struct wire_spec group = scene_packet(WORLD, GROUP, family);
		struct wire quote;

		error.proto = IPPROTO_ICMP;
		error.icmp_type = family == 4 ? 3 : 1;
		error.icmp_code = family == 4 ? 1 : 0;
		error.quote = &quote;
		wire_make(&quote, &spec);
		host_again();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_ALLOW_ALL);
		host_drops(MG_HOOK_FROM_NETDEV, &error, MG_DROP_HOST_INGRESS);
		host_passes(MG_HOOK_TO_NETDEV, &spec);
		host_passes(MG_HOOK_FROM_NETDEV, &error);
		group.proto = IPPROTO_UDP;
		group.dport = 5353;
		host_drops(MG_HOOK_FROM_NETDEV, &group, MG_DROP_HOST_INGRESS);
		host_passes(MG_HOOK_TO_NETDEV, &group);
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
		host_drops(MG_HOOK_TO_NETDEV, &group, MG_DROP_HOST_EGRESS);
		group.proto = family == 4 ? IPPROTO_IGMP : IPPROTO_ICMPV6;
		group.icmp_type = 143;
		host_passes(MG_HOOK_FROM_NETDEV, &group);
		host_passes(MG_HOOK_TO_NETDEV, &group);
		if (family == 4)
			continue;
		spec = scene_packet(WORLD, NODE_OWN, family);
		spec.proto = IPPROTO_ICMPV6;
		spec.icmp_type = 135;
		spec.payload = 16;
		host_passes(MG_HOOK_FROM_NETDEV, &spec);
	}
}

/* The first fragment is judged and the others are nothing without it. */
static void test_fragments(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec first = host_tcp(WORLD, NODE_OWN, family, 53), later;

		first.proto = IPPROTO_UDP;
		first.more_fragments = true;
		first.fragment_id = 7;
		first.payload = 64;
		later = first;
		later.more_fragments = false;
		later.fragment = 9;
		host_again();
		host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
		host_passes(MG_HOOK_FROM_NETDEV, &later);
		host_drops(MG_HOOK_FROM_NETDEV, &first, MG_DROP_HOST_INGRESS);
		host_drops(MG_HOOK_FROM_NETDEV, &later, MG_DROP_HOST_INGRESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in),	    cmocka_unit_test(test_out),
		cmocka_unit_test(test_no_endpoint), cmocka_unit_test(test_failsafe),
		cmocka_unit_test(test_midstream),   cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_prednat),	    cmocka_unit_test(test_untracked),
		cmocka_unit_test(test_icmp),	    cmocka_unit_test(test_fragments),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
