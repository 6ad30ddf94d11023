/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services whose backend is another node's pod: the client's packet goes there in a tunnel with its
 * address kept, and the answer comes back by the node that was asked. First that node's side, then
 * the backend's. Sources: docs/services.md; bpfExternalServiceMode Tunnel; RFC 1191, 8201 (too
 * big).
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

#include "selftests/lib/service_far.h"

static const __u32 modes[] = { [IPIP] = MG_ADDR_IPIP, [VXLAN] = MG_ADDR_VXLAN };

#define EACH_TUNNEL(tunnel) for (enum tunnel tunnel = IPIP; tunnel <= VXLAN; tunnel++)

static void expect_tunnel(const struct fixture_out *out, const struct wire_spec *want,
			  enum tunnel tunnel)
{
	struct outer_spec outer = uplink_outer(tunnel, 4, 0);
	struct wire_spec after = *want;
	struct wire inner, wire;

	expect_sent(out);
	after.ttl = 63;
	wire_make(&inner, &after);
	outer.sport = (unsigned short)(out->wire.data[WIRE_ETH + 20] << 8 |
				       out->wire.data[WIRE_ETH + 21]);
	outer_make(&wire, &outer, &inner);
	wire_expect(&out->wire, &wire, "in the tunnel");
}

/* From node 2, in its tunnel. */
static void arrive(const struct wire_spec *spec, enum tunnel tunnel, struct fixture_out *out)
{
	struct outer_spec outer = uplink_outer(tunnel, 4, 0);
	struct wire inner, wire;

	outer.from = NODE_FAR;
	outer.to = NODE_OWN;
	memcpy(outer.to_mac, vtep_own, 6);
	memcpy(outer.from_mac, vtep_far, 6);
	outer.sport = 50000;
	wire_make(&inner, spec);
	outer_make(&wire, &outer, &inner);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, out);
}

/* --- the node that was asked -------------------------------------------------------------- */

static void goes_out(const struct wire_spec *back, const struct wire_spec *home, enum tunnel tunnel)
{
	struct wire_spec after = *home;
	struct fixture_out out;
	struct wire wire;

	arrive(back, tunnel, &out);
	expect_sent(&out);
	after.ttl = 63;
	wire_make(&wire, &after);
	wire_expect(&out.wire, &wire, "to the client");
	expect_sums(&out.wire);
}

static void test_there_and_back(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	EACH_FAR_ADDRESS(address)
	EACH_TUNNEL(tunnel)
	{
		struct wire_spec spec = comes_for(proto, family, address), there, back, home;
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], 4);
		serve_far(&spec, POD_FAR);
		there = translated(&spec, place_addr(POD_FAR, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		for (int i = 0; i < 3; i++) { /* new, known, judged again */
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			expect_tunnel(&out, &there, tunnel);
			goes_out(&back, &home, tunnel);
			spec.tcp_flags = there.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
			back.tcp_flags = home.tcp_flags = spec.tcp_flags;
			if (i)
				fixture_touch(&node, place_text(POD_FAR, family));
		}
	}
}

/* In the same subnet too: without a tunnel nobody would know by whom the answer returns. Of a pool
 * without encapsulation in a kind that is in use; where none is, not at all. */
static void test_kinds(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_UDP, 4, NODE_PORT), there;
	struct fixture_out out;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP | MG_ADDR_CROSS, 4);
	uplink_peer(&node, MG_PEER_SUBNET4, UPLINK_MTU, 4);
	serve_far(&spec, POD_FAR);
	there = translated(&spec, place_addr(POD_FAR, 4));
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
	expect_tunnel(&out, &there, IPIP);
	uplink_again(&node, 0, 4);
	serve_far(&spec, POD_FAR);
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
	expect_tunnel(&out, &there, VXLAN);
	node.local.flags &= ~(__u32)(MG_LOCAL_IPIP | MG_LOCAL_VXLAN);
	fixture_local(&node);
	expect_in(&spec, MG_DROP_NAT_UNSUPPORTED);
}

/* The client is told; what may be cut goes to the stack, which cuts it. */
static void test_too_big(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = comes_for(IPPROTO_UDP, family, NODE_PORT), there;
		struct fixture_out out;
		struct wire wire;

		uplink_again(&node, MG_ADDR_IPIP, 4);
		serve_far(&spec, POD_FAR);
		spec.payload = 1500 - (family == 4 ? 28 : 48);
		spec.dont_fragment = true;
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		assert_int_equal(out.code, TC_ACT_REDIRECT);
		assert_int_equal(out.reason, MG_DROP_TOO_BIG);
		if (family == 6)
			continue;
		assert_int_equal(out.wire.data[WIRE_ETH + 20], 3); /* unreachable, needs cutting */
		assert_int_equal(out.wire.data[WIRE_ETH + 21], 4);
		assert_int_equal(out.wire.data[WIRE_ETH + 26] << 8 | out.wire.data[WIRE_ETH + 27],
				 1480);
		spec.dont_fragment = false;
		there = translated(&spec, place_addr(POD_FAR, 4));
		wire_make(&wire, &there);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		expect_passed(&out, &wire);
	}
}

/* --- the backend's node ------------------------------------------------------------------- */

/* The client's own address in another node's tunnel, and the answer into it, also after a change.
 */
static void test_carried(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	EACH_TUNNEL(tunnel)
	{
		struct wire_spec spec = comes_for(proto, family, EXTERNAL), back;
		struct fixture_out out;

		uplink_again(&node, 0, 4);
		spec = translated(&spec, place_addr(POD_A, family));
		back = scene_answer(&spec);
		for (int i = 0; i < 3; i++) {
			arrive(&spec, tunnel, &out);
			expect_delivery(&out, &spec, SLOT_A);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &back, &out);
			expect_tunnel(&out, &back, tunnel);
			spec.tcp_flags = back.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
			fixture_touch(&node, place_text(POD_A, family));
			if (i) /* an answer may be what meets the change first */
				scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &back, &out);
			if (i)
				expect_tunnel(&out, &back, tunnel);
		}
	}
}

/* Another node's pod asks a host port of this node: its packet has its own address, in the tunnel
 * of its pool, and so has the answer, in the node's name. */
static void test_host_port(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	EACH_TUNNEL(tunnel)
	{
		struct wire_spec spec = comes_for(proto, family, NODE_PORT), there, back, home;
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], 4);
		spec.src = place_addr(POD_FAR, family);
		serve_host_port(&spec, POD_A);
		there = translated(&spec, place_addr(POD_A, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		for (int i = 0; i < 2; i++) {
			arrive(&spec, tunnel, &out);
			expect_delivery(&out, &there, SLOT_A);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &back, &out);
			expect_tunnel(&out, &home, tunnel);
			spec.tcp_flags = there.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
			back.tcp_flags = home.tcp_flags = spec.tcp_flags;
			fixture_touch(&node, place_text(POD_A, family));
		}
	}
}

/* Its policy judges the client. */
static void test_carried_policy(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_UDP, 4, EXTERNAL);
	struct fixture_out out;

	(void)state;
	uplink_again(&node, 0, 4);
	spec = translated(&spec, place_addr(POD_A, 4));
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN,
		       fixture_set_for(&node, IDENT_FAR,
				       &(struct mg_class){ .verdict = MG_VERDICT_ALLOW }));
	arrive(&spec, IPIP, &out);
	expect_drop(&out, MG_DROP_POLICY_INGRESS);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN,
		       fixture_set_for(&node, MG_IDENT_WORLD4,
				       &(struct mg_class){ .verdict = MG_VERDICT_ALLOW }));
	arrive(&spec, IPIP, &out);
	expect_delivery(&out, &spec, SLOT_A);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
}

/* To nobody but a pod; and of a pool's address that lives elsewhere nothing is believed. */
static void test_carried_elsewhere(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_UDP, 4, EXTERNAL);
	struct fixture_out out;

	(void)state;
	uplink_again(&node, 0, 4);
	spec.dst = place_addr(NODE_OWN, 4);
	arrive(&spec, IPIP, &out);
	expect_drop(&out, MG_DROP_TUNNEL_SPOOF);
	spec.dst = place_addr(POD_FAR, 4);
	arrive(&spec, IPIP, &out);
	expect_drop(&out, MG_DROP_TUNNEL_SPOOF);
	spec.dst = place_addr(POD_A, 4);
	spec.src = place_addr(POOL_NONE, 4);
	arrive(&spec, IPIP, &out);
	expect_drop(&out, MG_DROP_TUNNEL_SPOOF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_too_big),	       cmocka_unit_test(test_carried),
		cmocka_unit_test(test_carried_policy), cmocka_unit_test(test_carried_elsewhere),
		cmocka_unit_test(test_host_port),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
