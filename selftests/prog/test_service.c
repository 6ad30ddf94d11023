/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services per packet: what a pod sends to a service's address, where it goes, and what comes back.
 * Sources: docs/services.md, Kubernetes' Service API (ClusterIP), RFC 9260 (SCTP's checksum).
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

#include "selftests/lib/service.h"

static void test_there_and_back(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks(proto, family), there, back, home;

		scene_again(&node);
		serve(proto, family, POD_B);
		there = translated(&spec, place_addr(POD_B, family));
		delivers(SLOT_A, &spec, &there, SLOT_B);
		back = scene_answer(&there);
		home = scene_answer(&spec);
		delivers(SLOT_B, &back, &home, SLOT_A);
		/* known both ways, whatever the service has become meanwhile */
		serve(proto, family, POD_QUEUE);
		spec.tcp_flags = there.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
		back.tcp_flags = home.tcp_flags = spec.tcp_flags;
		delivers(SLOT_A, &spec, &there, SLOT_B);
		delivers(SLOT_B, &back, &home, SLOT_A);
	}
}

static void test_rows(void **state)
{
	struct wire_spec spec = asks(IPPROTO_TCP, 4), there, back, home;
	struct mg_flow row;

	(void)state;
	scene_again(&node);
	serve(IPPROTO_TCP, 4, POD_B);
	there = translated(&spec, place_addr(POD_B, 4));
	delivers(SLOT_A, &spec, &there, SLOT_B);
	back = scene_answer(&there);
	home = scene_answer(&spec);
	assert_int_equal(fixture_flow(&node, &spec, &row), 1);
	assert_int_equal(row.flags & (MG_FLOW_DNAT | MG_FLOW_SNAT | MG_FLOW_REPLY), MG_FLOW_DNAT);
	assert_int_equal(row.way[0], SLOT_B);
	assert_int_equal(fixture_flow(&node, &back, &row), 1);
	assert_int_equal(row.flags & (MG_FLOW_DNAT | MG_FLOW_SNAT | MG_FLOW_REPLY),
			 MG_FLOW_SNAT | MG_FLOW_REPLY);
	delivers(SLOT_B, &back, &home, SLOT_A);
	spec.tcp_flags = there.tcp_flags = WIRE_ACK;
	delivers(SLOT_A, &spec, &there, SLOT_B);
	/* after the handshake both are established, after a reset both are not */
	assert_int_equal(fixture_flow(&node, &spec, &row), 2);
	assert_int_equal(fixture_flow(&node, &back, &row), 2);
	back.tcp_flags = home.tcp_flags = WIRE_RST;
	delivers(SLOT_B, &back, &home, SLOT_A);
	assert_int_equal(fixture_flow(&node, &spec, &row), 1);
	assert_int_equal(fixture_flow(&node, &back, &row), 1);
	/* and the next connection is a new choice */
	serve(IPPROTO_TCP, 4, POD_QUEUE);
	spec.tcp_flags = WIRE_SYN;
	there = translated(&spec, place_addr(POD_QUEUE, 4));
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_DEVICE, MG_DROP_NONE);
	back = scene_answer(&there);
	assert_int_equal(fixture_flow(&node, &back, &row), 1);
}

/* --- other nodes -------------------------------------------------------------------------- */

static void sends(const struct wire_spec *spec, const struct wire_spec *want, enum tunnel tunnel)
{
	struct outer_spec outer = uplink_outer(tunnel, 4, 0);
	struct wire_spec after = *want;
	struct fixture_out out;
	struct wire inner, wire;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	expect_sent(&out);
	after.ttl = 63;
	wire_make(&inner, &after);
	outer.sport =
		(unsigned short)(out.wire.data[WIRE_ETH + 20] << 8 | out.wire.data[WIRE_ETH + 21]);
	outer_make(&wire, &outer, &inner);
	wire_expect(&out.wire, &wire, "in the tunnel");
}

static void comes(const struct wire_spec *back, const struct wire_spec *want, enum tunnel tunnel)
{
	struct outer_spec outer = uplink_outer(tunnel, 4, 0);
	struct fixture_out out;
	struct wire inner, wire;

	outer.from = NODE_FAR;
	outer.to = NODE_OWN;
	memcpy(outer.to_mac, vtep_own, 6);
	memcpy(outer.from_mac, vtep_far, 6);
	outer.sport = 50000;
	wire_make(&inner, back);
	outer_make(&wire, &outer, &inner);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
	expect_delivery(&out, want, SLOT_A);
	expect_sums(&out.wire);
}

static void test_remote(void **state)
{
	static const __u32 modes[] = { [IPIP] = MG_ADDR_IPIP, [VXLAN] = MG_ADDR_VXLAN };

	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		for (enum tunnel tunnel = IPIP; tunnel <= VXLAN; tunnel++) {
			struct wire_spec spec = asks(proto, family), there, back, home;

			uplink_again(&node, modes[tunnel], 4);
			serve(proto, family, POD_FAR);
			there = translated(&spec, place_addr(POD_FAR, family));
			back = scene_answer(&there);
			home = scene_answer(&spec);
			sends(&spec, &there, tunnel);
			comes(&back, &home, tunnel);
			spec.tcp_flags = there.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
			sends(&spec, &there, tunnel);
			comes(&back, &home, tunnel);
		}
	}
}

/* An answer comes from behind the backend's node, and from nowhere else. */
static void test_remote_spoofed(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4), there, back;
	struct mg_ident far = { .identity = IDENT_FAR, .node = 3, .flags = MG_ADDR_POD };
	struct outer_spec outer = uplink_outer(IPIP, 4, 0);
	struct fixture_out out;
	struct wire inner, wire;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	serve(IPPROTO_UDP, 4, POD_FAR);
	there = translated(&spec, place_addr(POD_FAR, 4));
	back = scene_answer(&there);
	sends(&spec, &there, IPIP);
	fixture_ident(&node, place_text(POD_FAR, 4), far);
	fixture_touch(&node, place_text(POD_FAR, 4));
	outer.from = NODE_FAR;
	outer.to = NODE_OWN;
	wire_make(&inner, &back);
	outer_make(&wire, &outer, &inner);
	/* the first one finds the row's old way, and what changed */
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
	expect_drop(&out, MG_DROP_TUNNEL_SPOOF);
}

/* --- the node itself ---------------------------------------------------------------------- */

/* A backend on the host's network: to the stack, translated, and back from it. */
static void test_own_host(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks(proto, family), there, back, home;
		struct fixture_run run = { .hook = MG_HOOK_TO_POD,
					   .ifindex = MG_IFINDEX_BASE + SLOT_A };
		struct fixture_out out;
		struct wire wire;

		scene_again(&node);
		serve(proto, family, NODE_OWN);
		there = translated(&spec, place_addr(NODE_OWN, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		for (int i = 0; i < 2; i++) {
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			wire_make(&wire, &there);
			expect_passed(&out, &wire);
			wire_make(&wire, &back);
			run.in = &wire;
			fixture_run(&node, &run, &out);
			wire_make(&wire, &home);
			expect_passed(&out, &wire);
		}
	}
}

/* Another node's own address: in the pod's pool's tunnel, with the pod's address. */
static void test_far_host(void **state)
{
	struct wire_spec spec = asks(IPPROTO_TCP, 4), there, back, home;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	serve(IPPROTO_TCP, 4, NODE_FAR);
	there = translated(&spec, place_addr(NODE_FAR, 4));
	back = scene_answer(&there);
	home = scene_answer(&spec);
	sends(&spec, &there, IPIP);
	comes(&back, &home, IPIP);
}

/* Endpoints outside of the cluster, from a pool whose pods leave with their own address; with
 * natOutgoing both ends would have to change. */
static void test_outside(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4), there;
	union mg_addr pod = place_addr(POD_A, 4);
	struct mg_ident ident;
	struct fixture_out out;
	struct wire wire;

	(void)state;
	uplink_again(&node, 0, 4);
	serve(IPPROTO_UDP, 4, WORLD);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_drop(&out, MG_DROP_NAT_UNSUPPORTED);
	assert_true(fixture_get(&node, "mg_addrs", &pod, &ident));
	ident.flags &= (__u16)~MG_ADDR_NAT_OUT;
	fixture_ident(&node, place_text(POD_A, 4), ident);
	there = translated(&spec, place_addr(WORLD, 4));
	there.ttl = 63;
	wire_make(&wire, &there);
	for (int i = 0; i < 2; i++) {
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		wire_expect(&out.wire, &wire, "to the world");
	}
}

/* --- one pod ------------------------------------------------------------------------------ */

/* A pod reaches itself, whatever its policy, and sees the service as its peer. */
static void test_hairpin(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks(proto, family), there, back, home;

		scene_again(&node);
		serve(proto, family, POD_A);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		there = translated(&spec, place_addr(POD_A, family));
		there.src = spec.dst;
		back = scene_answer(&there);
		home = scene_answer(&spec);
		for (int i = 0; i < 2; i++) {
			delivers(SLOT_A, &spec, &there, SLOT_A);
			delivers(SLOT_A, &back, &home, SLOT_A);
			fixture_touch(&node, place_text(POD_A, family));
		}
	}
}

/* --- policy ------------------------------------------------------------------------------- */

/* It judges the backend, also when it changes. */
static void test_policy(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4), there;
	__u32 deny, allow, set;

	(void)state;
	scene_again(&node);
	serve(IPPROTO_UDP, 4, POD_B);
	there = translated(&spec, place_addr(POD_B, 4));
	deny = fixture_class(&node, &(struct mg_class){ .verdict = MG_VERDICT_DROP });
	allow = fixture_class(
		&node,
		&(struct mg_class){
			.l4[MG_L4_UDP] = fixture_table(
				&node, (struct fixture_entry[]){ { BPORT, MG_VERDICT_ALLOW + 1 } },
				1) });
	set = fixture_set(&node,
			  (struct fixture_entry[]){ { IDENT_B, allow }, { MG_IDENT_WORLD4, deny } },
			  2);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, set);
	delivers(SLOT_A, &spec, &there, SLOT_B);
	fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_POLICY_INGRESS);
	assert_int_equal(fixture_flow(&node, &spec, &(struct mg_flow){ 0 }), 0);
	fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_POLICY_EGRESS);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_ALLOW_ALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_remote),	       cmocka_unit_test(test_remote_spoofed),
		cmocka_unit_test(test_own_host),       cmocka_unit_test(test_far_host),
		cmocka_unit_test(test_outside),	       cmocka_unit_test(test_hairpin),
		cmocka_unit_test(test_policy),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
