/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARP (RFC 826, 5227) and neighbour discovery (RFC 4861) of a pod, answered by from_pod.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <string.h>

#include "selftests/lib/scene.h"

static void run_wire(const struct wire *wire, struct fixture_out *out)
{
	struct fixture_run run = { .hook = MG_HOOK_FROM_POD,
				   .ifindex = MG_IFINDEX_BASE + SLOT_A,
				   .in = wire };

	fixture_run(&node, &run, out);
}

static void test_arp(void **state)
{
	union mg_addr pod = place_addr(POD_A, 4), asked, nobody = place_addr(NOBODY, 4);
	struct wire_spec ask = { 0 }, answer = { 0 };
	struct fixture_out out;
	struct wire wire, want;

	(void)state;
	scene_again(&node);
	pod_mac(SLOT_A, ask.from);
	memset(ask.to, 0xff, sizeof(ask.to));
	memcpy(answer.to, ask.from, sizeof(answer.to));
	memcpy(answer.from, host_mac, sizeof(answer.from));
	for (int place = POD_B; place <= GATEWAY; place++) {
		asked = place_addr(place, 4);
		wire_arp(&wire, 1, &ask, &pod, &asked);
		wire_arp(&want, 2, &answer, &asked, &pod);
		run_wire(&wire, &out);
		assert_int_equal(out.code, TC_ACT_REDIRECT);
		assert_int_equal(out.drops, 0);
		assert_true(out.mark & node.config.mark);
		wire_expect(&out.wire, &want, "ARP answer");
	}
	/* its own address: nobody else has it (RFC 5227) */
	wire_arp(&wire, 1, &ask, &nobody, &pod);
	run_wire(&wire, &out);
	assert_int_equal(out.code, TC_ACT_SHOT);
	assert_int_equal(out.drops, 0);
	/* an announcement */
	wire_arp(&wire, 2, &ask, &pod, &pod);
	run_wire(&wire, &out);
	assert_int_equal(out.code, TC_ACT_SHOT);
	assert_int_equal(out.drops, 0);
	wire.data[WIRE_ETH + 4] = 8;
	run_wire(&wire, &out);
	assert_int_equal(out.reason, MG_DROP_MALFORMED);
	wire.length = WIRE_ETH + 20;
	run_wire(&wire, &out);
	assert_int_equal(out.reason, MG_DROP_SHORT);
}

static void solicit(struct wire *wire, enum place src, enum place target, bool option)
{
	struct wire_spec ends = scene_packet(src, target, 6);
	struct wire_nd nd = { .type = 135,
			      .target = place_addr(target, 6),
			      .option = option ? 1 : 0 };

	pod_mac(SLOT_A, nd.mac);
	wire_nd(wire, &ends, &nd);
}

static void test_solicitation(void **state)
{
	static const enum place asked[] = { GATEWAY, POD_B, WORLD, NODE_OWN };
	static const enum place askers[] = { LINK_A, POD_A };
	struct fixture_out out;
	struct wire wire, want;

	(void)state;
	scene_again(&node);
	for (int i = 0; i < 16; i++) {
		enum place target = asked[i & 3], asker = askers[i >> 2 & 1];
		struct wire_spec ends = scene_packet(target, asker, 6);
		struct wire_nd nd = { .type = 136,
				      .flags = 0xe0000000,
				      .target = place_addr(target, 6),
				      .option = i & 8 ? 2 : 0 };

		memcpy(nd.mac, host_mac, sizeof(nd.mac));
		memcpy(ends.from, host_mac, sizeof(ends.from));
		pod_mac(SLOT_A, ends.to);
		wire_nd(&want, &ends, &nd);
		solicit(&wire, asker, target, i & 8);
		run_wire(&wire, &out);
		assert_int_equal(out.code, TC_ACT_REDIRECT);
		assert_true(out.mark & node.config.mark);
		wire_expect(&out.wire, &want, "advertisement");
	}
}

static void test_solicitation_refused(void **state)
{
	struct fixture_out out;
	struct wire wire;

	(void)state;
	scene_again(&node);
	solicit(&wire, NOBODY, POD_A, false); /* a test for a double */
	run_wire(&wire, &out);
	assert_int_equal(out.code, TC_ACT_SHOT);
	assert_int_equal(out.drops, 0);
	solicit(&wire, LINK_A, POD_A, true);
	run_wire(&wire, &out);
	assert_int_equal(out.code, TC_ACT_SHOT);
	assert_int_equal(out.drops, 0);
	solicit(&wire, POD_B, GATEWAY, true);
	run_wire(&wire, &out);
	assert_int_equal(out.reason, MG_DROP_SPOOFED);
	solicit(&wire, LINK_A, GATEWAY, true);
	wire.data[WIRE_ETH + 7] = 254; /* came over a router */
	run_wire(&wire, &out);
	assert_int_equal(out.reason, MG_DROP_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_solicitation),
		cmocka_unit_test(test_solicitation_refused),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
