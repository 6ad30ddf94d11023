/* SPDX-License-Identifier: Apache-2.0 */
/*
 * to_pod: what the host's stack delivers. The host's own sockets pass whatever the policy,
 * forwarded packets are judged, and the answers of both go back through the stack (design
 * section 3, "Beside others").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/scene.h"

#define BRIDGE 9 /* some other device of the host */

static void nothing_in(struct fixture *fx, int family)
{
	(void)family;
	fixture_assign(fx, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
}

static void not_ready(struct fixture *fx, int family)
{
	(void)family;
	fixture_ep_flags(fx, SLOT_A, 0);
}

static void twice(struct fixture *fx, int family)
{
	(void)family;
	fixture_ep_flags(fx, SLOT_A, MG_EP_READY | MG_EP_TWICE);
}

static void twice_nothing_in(struct fixture *fx, int family)
{
	twice(fx, family);
	nothing_in(fx, family);
}

#define SYN { .proto = IPPROTO_TCP, .sport = 50000, .dport = 80, .tcp_flags = WIRE_SYN }
#define SEGMENT { .proto = IPPROTO_TCP, .sport = 50000, .dport = 80, .tcp_flags = WIRE_ACK }
#define DATAGRAM { .proto = IPPROTO_UDP, .sport = 50000, .dport = 53, .payload = 10 }

/* clang-format off */
static const struct row rows[] = {
	{ "host, SYN", NODE_OWN, POD_A, SYN, .fate = TO_STACK },
	{ "host, whatever the policy", NODE_OWN, POD_A, SYN, .prepare = nothing_in,
	  .fate = TO_STACK },
	{ "host, in the middle of a connection", NODE_OWN, POD_A, SEGMENT, .fate = TO_STACK },
	{ "host, UDP", NODE_OWN, POD_A, DATAGRAM, .prepare = nothing_in, .fate = TO_STACK },
	{ "host, group", NODE_OWN, GROUP, DATAGRAM, .fate = TO_STACK },
	{ "host, ICMP error", NODE_OWN, POD_A,
	  { .proto = IPPROTO_ICMP, .icmp_type = 3, .payload = 48 }, .family = 6, .fate = TO_STACK,
	  .prepare = nothing_in },
	{ "host, to a pod that is not ready", NODE_OWN, POD_A, SYN, .prepare = not_ready,
	  .fate = DROPPED, .reason = MG_DROP_NOT_READY },
	{ "marked: judged before", POD_B, POD_A, SYN, .prepare = nothing_in, .fate = TO_STACK,
	  .mark = 0x01000000, .ingress_ifindex = BRIDGE },
	/* Both ways of attaching at once: the second run would find no mark any more. */
	{ "twice there: marked", POD_B, POD_A, SYN, .prepare = twice_nothing_in, .mark = 0x01000000,
	  .ingress_ifindex = BRIDGE, .fate = TO_STACK_OK },
	{ "twice there: host", NODE_OWN, POD_A, SYN, .prepare = twice, .fate = TO_STACK_OK },
	{ "twice there: forwarded", WORLD, POD_A, SYN, .prepare = twice, .ingress_ifindex = BRIDGE,
	  .fate = TO_STACK_OK },
	{ "twice there: denied", WORLD, POD_A, SYN, .prepare = twice_nothing_in,
	  .ingress_ifindex = BRIDGE, .fate = DROPPED, .reason = MG_DROP_POLICY_INGRESS },
	{ "another mark is not ours", WORLD, POD_A, SYN, .prepare = nothing_in, .mark = 0x4000,
	  .ingress_ifindex = BRIDGE, .fate = DROPPED, .reason = MG_DROP_POLICY_INGRESS },
	{ "forwarded, allowed", WORLD, POD_A, SYN, .ingress_ifindex = BRIDGE, .fate = TO_STACK },
	{ "forwarded, denied", WORLD, POD_A, SYN, .prepare = nothing_in,
	  .ingress_ifindex = BRIDGE, .fate = DROPPED, .reason = MG_DROP_POLICY_INGRESS },
	{ "forwarded, from a pod not known", POOL_FAR, POD_A, SYN, .prepare = nothing_in,
	  .ingress_ifindex = BRIDGE, .fate = DROPPED, .reason = MG_DROP_UNKNOWN_PEER },
	{ "forwarded, no connection", WORLD, POD_A, SEGMENT, .ingress_ifindex = BRIDGE,
	  .fate = DROPPED, .reason = MG_DROP_NO_FLOW },
	{ "forwarded, group", WORLD, GROUP, DATAGRAM, .ingress_ifindex = BRIDGE, .fate = DROPPED,
	  .reason = MG_DROP_NO_ROUTE },
	{ "forwarded, a fragment before its first", WORLD, POD_A,
	  { .proto = IPPROTO_UDP, .fragment = 100, .payload = 32 }, .ingress_ifindex = BRIDGE,
	  .fate = DROPPED, .reason = MG_DROP_FRAG_ORDER },
};
/* clang-format on */

static void test_rows(void **state)
{
	(void)state;
	ROWS_RUN(&node, MG_HOOK_TO_POD, rows);
}

static void arrives(const struct wire_spec *spec, __u32 ingress, enum fate fate,
		    enum mg_reason reason)
{
	struct fixture_run run = { .hook = MG_HOOK_TO_POD,
				   .ifindex = MG_IFINDEX_BASE + SLOT_A,
				   .ingress_ifindex = ingress };
	struct fixture_out out;
	struct wire wire;

	wire_make(&wire, spec);
	run.in = &wire;
	fixture_run(&node, &run, &out);
	assert_int_equal(out.reason, reason);
	assert_int_equal(out.code, fate == TO_STACK ? -1 : TC_ACT_SHOT);
}

static struct wire_spec tcp(enum place src, enum place dst, int family, unsigned char flags)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_TCP;
	spec.sport = dst == POD_A ? 50000 : 80;
	spec.dport = dst == POD_A ? 80 : 50000;
	spec.tcp_flags = flags;
	return spec;
}

/* The pod may answer a probe although it may open nothing; and goes back by the stack. */
static void test_answers_to_host(void **state)
{
	struct wire_spec in, back;
	struct mg_flow flow;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? 6 : 4;
		enum place peer = i & 2 ? WORLD : NODE_OWN;
		__u32 ingress = i & 2 ? BRIDGE : 0;

		scene_again(&node);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		in = tcp(peer, POD_A, family, WIRE_SYN);
		arrives(&in, ingress, TO_STACK, MG_DROP_NONE);
		assert_int_equal(fixture_flow(&node, &in, &flow), 1);
		assert_true(flow.flags & MG_FLOW_VIA_STACK);
		back = tcp(POD_A, peer, family, WIRE_SYN | WIRE_ACK);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &back, TO_STACK, MG_DROP_NONE);
		in.tcp_flags = WIRE_ACK;
		arrives(&in, ingress, TO_STACK, MG_DROP_NONE);
		assert_int_equal(fixture_flow(&node, &in, &flow), 2);
		back.tcp_flags = WIRE_ACK;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &back, TO_STACK, MG_DROP_NONE);
		/* but opens nothing itself */
		back.tcp_flags = WIRE_SYN;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &back, DROPPED,
			     MG_DROP_POLICY_EGRESS);
	}
}

/* What the pod asks of the host is answered through to_pod, whatever may come in. */
static void test_host_answers(void **state)
{
	struct wire_spec out, back;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		nothing_in(&node, family);
		out = tcp(POD_A, NODE_OWN, family, WIRE_SYN);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &out, TO_STACK, MG_DROP_NONE);
		back = tcp(NODE_OWN, POD_A, family, WIRE_SYN | WIRE_ACK);
		arrives(&back, 0, TO_STACK, MG_DROP_NONE);
		out.tcp_flags = WIRE_ACK;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &out, TO_STACK, MG_DROP_NONE);
		assert_int_equal(fixture_flow(&node, &out, &(struct mg_flow){ 0 }), 2);
	}
}

/* A forwarded flow that policy no longer allows ends with its next packet. */
static void test_revoked(void **state)
{
	struct wire_spec in, back;
	struct mg_flow flow;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? 6 : 4;

		scene_again(&node);
		in = tcp(WORLD, POD_A, family, WIRE_SYN);
		arrives(&in, BRIDGE, TO_STACK, MG_DROP_NONE);
		fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		fixture_commit(&node, (struct mg_commit){ .column = 1 });
		if (i & 2) {
			back = tcp(POD_A, WORLD, family, WIRE_SYN | WIRE_ACK);
			scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &back, DROPPED,
				     MG_DROP_POLICY_INGRESS);
		} else {
			arrives(&in, BRIDGE, DROPPED, MG_DROP_POLICY_INGRESS);
		}
		assert_int_equal(fixture_flow(&node, &in, &flow), 0);
	}
}

/* A probe's flow is never judged, changes or not. */
static void test_host_stays(void **state)
{
	struct wire_spec in, back;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		in = tcp(NODE_OWN, POD_A, family, WIRE_SYN);
		arrives(&in, 0, TO_STACK, MG_DROP_NONE);
		nothing_in(&node, family);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		fixture_touch(&node, place_text(NODE_OWN, family));
		back = tcp(POD_A, NODE_OWN, family, WIRE_SYN | WIRE_ACK);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &back, TO_STACK, MG_DROP_NONE);
		arrives(&in, 0, TO_STACK, MG_DROP_NONE);
	}
}

/* A packet of one pod to another by way of the stack is judged once and known here. */
static void test_through_stack(void **state)
{
	struct wire_spec spec;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		fixture_ep_flags(&node, SLOT_B, MG_EP_READY | MG_EP_THROUGH_STACK);
		spec = tcp(POD_B, POD_A, family, WIRE_SYN);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_B, &spec, TO_STACK, MG_DROP_NONE);
		arrives(&spec, MG_IFINDEX_BASE + SLOT_B, TO_STACK, MG_DROP_NONE);
		spec = tcp(POD_A, POD_B, family, WIRE_SYN | WIRE_ACK);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_PEER, MG_DROP_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	     cmocka_unit_test(test_answers_to_host),
		cmocka_unit_test(test_host_answers), cmocka_unit_test(test_revoked),
		cmocka_unit_test(test_host_stays),   cmocka_unit_test(test_through_stack),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
