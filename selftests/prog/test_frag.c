/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fragments, both families: later ones follow the first one's flow, by policy, translation and
 * tunnel; one that comes before the first is dropped; the host's own are none of ours.
 * Sources: RFC 791, 8200 section 4.5, the design's section 5.
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

enum part { FIRST, MIDDLE, LAST };

static struct wire_spec part(enum place src, enum place dst, int family, enum part which)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 4000;
	spec.dport = 53;
	spec.payload = 40;
	spec.fragment_id = 0x1234;
	spec.fragment = which == FIRST ? 0 : which == MIDDLE ? 6 : 12;
	spec.more_fragments = which != LAST;
	return spec;
}

static void test_to_a_pod(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		uplink_again(&node, 0, 0);
		for (enum part i = FIRST; i <= LAST; i++) {
			struct wire_spec spec = part(POD_A, POD_B, family, i);
			struct fixture_out out;

			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_delivery(&out, &spec, SLOT_B);
		}
	}
}

static void test_order(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = part(POD_A, POD_B, family, MIDDLE);
		struct fixture_out out;

		uplink_again(&node, 0, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_FRAG_ORDER);
		spec = part(POD_A, POD_B, family, FIRST);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		/* another packet's, another protocol's, another receiver's */
		spec = part(POD_A, POD_B, family, LAST);
		spec.fragment_id++;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_FRAG_ORDER);
		spec = part(POD_A, POD_B, family, LAST);
		spec.proto = IPPROTO_TCP;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_FRAG_ORDER);
		spec = part(POD_A, POD_QUEUE, family, LAST);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_FRAG_ORDER);
		spec = part(POD_A, POD_B, family, LAST);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_delivery(&out, &spec, SLOT_B);
	}
}

static void test_denied(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		uplink_again(&node, 0, 0);
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		for (enum part i = FIRST; i <= LAST; i++) {
			struct wire_spec spec = part(POD_A, POD_B, family, i);
			struct fixture_out out;

			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_drop(&out, MG_DROP_POLICY_INGRESS);
		}
		fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	}
}

static void test_in_the_tunnel(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		unsigned short port = 0;

		uplink_again(&node, MG_ADDR_VXLAN, 4);
		for (enum part i = FIRST; i <= LAST; i++) {
			struct wire_spec spec = part(POD_A, POD_FAR, family, i);
			struct outer_spec around = uplink_outer(VXLAN, 4, 0);
			struct fixture_out out;
			struct wire inner, want;

			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_sent(&out);
			spec.ttl = 63;
			wire_make(&inner, &spec);
			/* all parts of a packet take one way through the underlay */
			around.sport = (unsigned short)(out.wire.data[34] << 8 | out.wire.data[35]);
			outer_make(&want, &around, &inner);
			wire_expect(&out.wire, &want, "fragment in the tunnel");
			if (i == FIRST)
				port = around.sport;
			assert_int_equal(around.sport, port);
		}
	}
}

static void test_translated(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		union mg_addr own = place_addr(NODE_OWN, family);
		unsigned short port = 0;

		uplink_again(&node, 0, 0);
		for (enum part i = FIRST; i <= LAST; i++) {
			struct wire_spec spec = part(POD_A, WORLD, family, i);
			struct fixture_out out;
			struct wire want, sent;

			wire_make(&sent, &spec);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_sent(&out);
			assert_null(i == FIRST ? NULL : fixture_step(&out, MG_STEP_NAT));
			if (i == FIRST) {
				size_t at = WIRE_ETH + (family == 4 ? 20 : 48);

				port = (unsigned short)(out.wire.data[at] << 8 |
							out.wire.data[at + 1]);
				assert_in_range(port, NAT_FIRST, NAT_LAST);
			}
			spec.src = own;
			spec.sport = port;
			spec.ttl = 63;
			wire_make(&want, &spec);
			wire_expect(&out.wire, &want, "translated fragment");
		}
		for (enum part i = FIRST; i <= LAST; i++) {
			struct wire_spec spec = part(WORLD, NODE_OWN, family, i), after = spec;
			struct fixture_out out;

			spec.sport = after.sport = 53;
			spec.dport = port;
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			after.dst = place_addr(POD_A, family);
			after.dport = 4000;
			expect_delivery(&out, &after, SLOT_A);
		}
	}
}

static void test_from_the_uplink(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct fixture_out out;
		struct wire_spec spec = part(WORLD, POD_A, family, LAST);
		struct wire wire;

		uplink_again(&node, 0, 0);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
		expect_drop(&out, MG_DROP_FRAG_ORDER);
		for (enum part i = FIRST; i <= LAST; i++) {
			spec = part(WORLD, POD_A, family, i);
			uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &spec, &out);
			expect_delivery(&out, &spec, SLOT_A);
		}
		/* the host puts its own together, in any order */
		for (int i = LAST; i >= FIRST; i--) {
			spec = part(WORLD, NODE_OWN, family, (enum part)i);
			wire_make(&wire, &spec);
			uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
			expect_passed(&out, &wire);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_a_pod),   cmocka_unit_test(test_order),
		cmocka_unit_test(test_denied),	   cmocka_unit_test(test_in_the_tunnel),
		cmocka_unit_test(test_translated), cmocka_unit_test(test_from_the_uplink),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
