/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the uplink: out of tunnels, who may come in one, ECN, delivery to pods, and what is left
 * to the stack. Sources: RFC 2003, 4213, 2473, 7348, 6040; the design's section 3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/uplink.h"

static const __u32 modes[] = { [IPIP] = MG_ADDR_IPIP, [VXLAN] = MG_ADDR_VXLAN };

#define EACH_TUNNEL(tunnel, outer, inner)                                                          \
	for (enum tunnel tunnel = IPIP; tunnel <= VXLAN; tunnel++)                                 \
		for (int outer = 4; outer <= 6; outer += 2)                                        \
			for (int inner = 4; inner <= 6; inner += 2)

/* To pod A, from somewhere; as it stands on the wire. */
static struct wire_spec packet(enum place src, enum place dst, int family)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 53;
	spec.dport = 4000;
	spec.payload = 21;
	return spec;
}

/* What node 2 sends to us. */
static struct outer_spec incoming(enum tunnel tunnel, int family)
{
	struct outer_spec spec = uplink_outer(tunnel, family, 0);

	spec.from = NODE_FAR;
	spec.to = NODE_OWN;
	spec.sport = 50123;
	memcpy(spec.to_mac, vtep_own, 6);
	memcpy(spec.from_mac, vtep_far, 6);
	return spec;
}

static void arrive(const struct outer_spec *outer, const struct wire_spec *inner,
		   struct fixture_out *out)
{
	struct wire wire, whole;

	wire_make(&wire, inner);
	outer_make(&whole, outer, &wire);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, out);
}

static void test_decap(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = packet(POD_FAR, POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		for (int i = 0; i < 2; i++) { /* new, known */
			arrive(&around, &spec, &out);
			expect_delivery(&out, &spec, SLOT_A);
		}
		/* ipv6Support false: what is inside goes nowhere; an IPv6 outer to the stack */
		node.local.flags |= MG_LOCAL_NO_IPV6;
		fixture_local(&node);
		arrive(&around, &spec, &out);
		if (outer == 4 && inner == 4)
			expect_delivery(&out, &spec, SLOT_A);
		else if (outer == 4)
			expect_drop(&out, MG_DROP_IPV6_OFF);
		node.local.flags &= ~MG_LOCAL_NO_IPV6;
	}
}

/* Also from a pod that nobody knows yet, by its block, and from the node itself. */
static void test_decap_sources(void **state)
{
	static const enum place sources[] = { POOL_FAR, NODE_FAR };

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (size_t i = 0; i < 2; i++) {
		struct wire_spec spec = packet(sources[i], POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		arrive(&around, &spec, &out);
		expect_delivery(&out, &spec, SLOT_A);
		arrive(&around, &spec, &out);
		expect_delivery(&out, &spec, SLOT_A);
	}
}

static void test_inner_spoofed(void **state)
{
	static const enum place sources[] = {
		POD_A, POD_B, NODE_OWN, POOL_NONE, POOL_LOST, LINK_A
	};

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct wire_spec spec = packet(sources[i], POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		arrive(&around, &spec, &out);
		expect_drop(&out,
			    sources[i] == POD_A || sources[i] == POD_B || sources[i] == NODE_OWN
				    ? MG_DROP_LOCAL_CLAIMED
				    : MG_DROP_TUNNEL_SPOOF);
	}
}

/* A known flow's row does not let a stranger's packet through: neither from another node's
 * tunnel nor from the bare wire in a local pod's name. */
static void test_known_flow_spoofed(void **state)
{
	const struct mg_ident third = { .node = 3, .flags = MG_ADDR_HOST };
	struct outer_spec around = incoming(IPIP, 4);
	struct wire_spec spec = packet(POD_FAR, POD_A, 4);
	struct fixture_out out;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	fixture_ident(&node, place_text(WORLD, 4), third);
	arrive(&around, &spec, &out);
	arrive(&around, &spec, &out);
	expect_delivery(&out, &spec, SLOT_A);
	around.from = WORLD; /* node 3 for now */
	arrive(&around, &spec, &out);
	expect_drop(&out, MG_DROP_TUNNEL_SPOOF);
	fixture_del(&node, "mg_addrs", &(union mg_addr[]){ place_addr(WORLD, 4) }[0]);

	spec = packet(POD_A, POD_B, 4);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_delivery(&out, &spec, SLOT_B);
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
	expect_drop(&out, MG_DROP_LOCAL_CLAIMED);
	spec = packet(POD_B, POD_A, 4);
	spec.sport = 4000;
	spec.dport = 53;
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
	expect_drop(&out, MG_DROP_LOCAL_CLAIMED);
}

static void test_foreign(void **state)
{
	static const enum place senders[] = { WORLD, NODE_OWN, POD_FAR };

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		struct wire_spec spec = packet(POD_FAR, POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		around.from = senders[i];
		arrive(&around, &spec, &out);
		expect_drop(&out, MG_DROP_FOREIGN_TUNNEL);
	}
}

static void test_foreign_network(void **state)
{
	struct wire_spec spec = packet(POD_FAR, POD_A, 4);
	struct outer_spec around = incoming(VXLAN, 4);
	struct fixture_out out;
	struct wire inner, whole;

	(void)state;
	uplink_again(&node, MG_ADDR_VXLAN, 4);
	around.vni = VNI + 1;
	arrive(&around, &spec, &out);
	expect_drop(&out, MG_DROP_FOREIGN_TUNNEL);
	around.vni = VNI;
	wire_make(&inner, &spec);
	outer_make(&whole, &around, &inner);
	whole.data[WIRE_ETH + 20 + 8] = 0; /* without the I flag the VNI means nothing */
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &out);
	expect_drop(&out, MG_DROP_FOREIGN_TUNNEL);
}

/* A kind that is not in use, a port that is not VXLAN's, and a tunnel to somebody else: the
 * stack's own business. */
static void test_not_ours(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = packet(POD_FAR, POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;
		struct wire wire, whole;

		uplink_again(&node, 0, outer);
		wire_make(&wire, &spec);
		outer_make(&whole, &around, &wire);
		node.local.flags = tunnel == IPIP ? MG_LOCAL_VXLAN : MG_LOCAL_IPIP;
		fixture_local(&node);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &out);
		expect_passed(&out, &whole);
		uplink_again(&node, 0, outer);
		around.to = WORLD;
		outer_make(&whole, &around, &wire);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &out);
		expect_passed(&out, &whole);
	}
}

static void test_inner_destinations(void **state)
{
	static const struct {
		enum place dst;
		enum mg_reason reason;
	} rows[] = {
		{ NODE_OWN, MG_DROP_NONE },	 { POOL_LOST, MG_DROP_BLACKHOLE },
		{ WORLD, MG_DROP_NO_ROUTE },	 { POD_FAR, MG_DROP_NO_ROUTE },
		{ POD_LATE, MG_DROP_NOT_READY }, { GROUP, MG_DROP_TUNNEL_SPOOF },
	};

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_spec spec = packet(POD_FAR, rows[i].dst, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;
		struct wire wire;

		uplink_again(&node, modes[tunnel], outer);
		arrive(&around, &spec, &out);
		wire_make(&wire, &spec);
		if (rows[i].reason)
			expect_drop(&out, rows[i].reason);
		else
			expect_passed(&out, &wire);
	}
}

/* RFC 6040 section 4.2, figure 4, by inner field (rows) and outer field (columns), both in the
 * order 00 01 10 11; -1: drop. */
static void test_ecn(void **state)
{
	static const int table[4][4] = {
		[0] = { 0, 0, 0, -1 },
		[1] = { 1, 1, 1, 3 },
		[2] = { 2, 1, 2, 3 },
		[3] = { 3, 3, 3, 3 },
	};

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (unsigned char in = 0; in < 4; in++) {
		for (unsigned char on = 0; on < 4; on++) {
			struct wire_spec spec = packet(POD_FAR, POD_A, inner);
			struct outer_spec around = incoming(tunnel, outer);
			struct fixture_out out;

			uplink_again(&node, modes[tunnel], outer);
			spec.tos = (unsigned char)(0xb8 | in);
			around.tos = (unsigned char)(0x20 | on);
			arrive(&around, &spec, &out);
			if (table[in][on] < 0) {
				expect_drop(&out, MG_DROP_MALFORMED);
				continue;
			}
			spec.tos = (unsigned char)(0xb8 | table[in][on]);
			expect_delivery(&out, &spec, SLOT_A);
		}
	}
}

static void test_outer_fragment(void **state)
{
	struct wire_spec spec = packet(POD_FAR, POD_A, 4);
	struct outer_spec around = incoming(IPIP, 4);
	struct fixture_out out;
	struct wire inner, whole;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	wire_make(&inner, &spec);
	outer_make(&whole, &around, &inner);
	whole.data[WIRE_ETH + 6] = 0x20;
	wire_sum4(&whole);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &out);
	expect_drop(&out, MG_DROP_FRAG_ORDER);
}

/* --- without a tunnel --------------------------------------------------------------------- */
static void test_native(void **state)
{
	static const enum place sources[] = { POD_FAR, NODE_FAR, WORLD };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
			struct wire_spec spec = packet(sources[i], POD_A, family);
			struct fixture_out out;

			uplink_again(&node, 0, 0);
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			expect_delivery(&out, &spec, SLOT_A);
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			expect_delivery(&out, &spec, SLOT_A);
		}
	}
}

static void test_local_claimed(void **state)
{
	static const enum place ends[] = { POD_B, NODE_OWN, WORLD };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			struct wire_spec spec = packet(POD_A, ends[i], family);
			struct fixture_out out;

			uplink_again(&node, 0, 0);
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			expect_drop(&out, MG_DROP_LOCAL_CLAIMED);
		}
	}
}

static void test_left_to_the_stack(void **state)
{
	static const enum place ends[][2] = {
		{ WORLD, NODE_OWN }, { NODE_FAR, NODE_OWN }, { WORLD, POD_FAR },
		{ WORLD, GROUP },    { WORLD, POOL_LOST },
	};

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			struct wire_spec spec = packet(ends[i][0], ends[i][1], family);
			struct fixture_out out;
			struct wire wire;

			uplink_again(&node, 0, 0);
			wire_make(&wire, &spec);
			uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
			expect_passed(&out, &wire);
		}
	}
}

/* The stack tells the sender that no hop is left. */
static void test_last_hop(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = packet(WORLD, POD_A, family);
		struct fixture_out out;
		struct wire wire;

		uplink_again(&node, 0, 0);
		spec.ttl = 1;
		wire_make(&wire, &spec);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		expect_passed(&out, &wire);
	}
}

static void test_policy(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = packet(POD_FAR, POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		arrive(&around, &spec, &out);
		expect_drop(&out, MG_DROP_POLICY_INGRESS);
		/* only what the pod itself asked for comes back */
		spec = packet(POD_A, POD_FAR, inner);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		spec = packet(POD_FAR, POD_A, inner);
		spec.sport = 4000;
		spec.dport = 53;
		arrive(&around, &spec, &out);
		expect_delivery(&out, &spec, SLOT_A);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	}
}

static void test_tcp_without_a_flow(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = packet(WORLD, POD_A, family);
		struct fixture_out out;

		uplink_again(&node, 0, 0);
		spec.proto = IPPROTO_TCP;
		spec.tcp_flags = WIRE_ACK;
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		expect_drop(&out, MG_DROP_NO_FLOW);
		spec.tcp_flags = WIRE_SYN;
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		expect_delivery(&out, &spec, SLOT_A);
	}
}

/* Answers to another node's own packets leave in the tunnel of the pod's pool, whichever packet
 * was first to teach the row. */
static void test_answers_to_a_node(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (int packets = 1; packets <= 3; packets++) {
		struct wire_spec spec = packet(NODE_FAR, POD_A, inner);
		struct outer_spec around = incoming(tunnel, outer);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		for (int i = 0; i < packets; i++)
			arrive(&around, &spec, &out);
		spec = packet(POD_A, NODE_FAR, inner);
		spec.sport = 4000;
		spec.dport = 53;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		assert_non_null(fixture_step(&out, MG_STEP_ENCAP));
	}
}

static void test_idle_device(void **state)
{
	struct wire_spec spec = packet(POD_FAR, POD_A, 4);
	struct fixture_out out;
	struct wire wire;

	(void)state;
	uplink_again(&node, 0, 0);
	wire_make(&wire, &spec);
	uplink_run(&node, MG_HOOK_FROM_TUNNEL, &wire, 0, &out);
	expect_drop(&out, MG_DROP_UNMARKED_TUNNEL);
	/* marked, but no device of a tunnel opened it (selftests/net/wire has those that one did)
	 */
	uplink_run(&node, MG_HOOK_FROM_TUNNEL, &wire, node.config.mark, &out);
	expect_drop(&out, MG_DROP_FOREIGN_TUNNEL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decap),
		cmocka_unit_test(test_decap_sources),
		cmocka_unit_test(test_inner_spoofed),
		cmocka_unit_test(test_known_flow_spoofed),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_foreign_network),
		cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_inner_destinations),
		cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_outer_fragment),
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_local_claimed),
		cmocka_unit_test(test_left_to_the_stack),
		cmocka_unit_test(test_last_hop),
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_tcp_without_a_flow),
		cmocka_unit_test(test_answers_to_a_node),
		cmocka_unit_test(test_idle_device),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
