/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of one packet in the programs: BPF_PROG_TEST_RUN, the packet path's own load (no trace), the
 * best of several rounds, an empty program subtracted. Each path's verdict is asserted, or another
 * path would be measured. A packet that a run leaves as it was (but for a hop) is repeated in the
 * kernel; one that goes into a tunnel or out of one is another packet after it, so it is run singly
 * ("single": colder, and the clock's own cost is in both). "cold": 500 flows in turn, singly, the
 * median. Prints a table; figures are of this machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <limits.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/lib/cost.h"
#include "selftests/lib/uplink.h"

#define ROUNDS 400
#define REPEAT 200 /* a packet loses a hop a run */

#define SINGLES 4000

static int open_node(void **state)
{
	const struct mg_config config = { .slots = 4096, .mark = 0x01000000, .redirect_peer = 1 };

	(void)state;
	if (scene_setup_with(&config, FIXTURE_WHOLE))
		return -1;
	uplink_build();
	cost_open();
	return 0;
}

static unsigned int empty_cost(const struct wire *wire)
{
	unsigned int best = UINT_MAX, cost;
	int code;

	for (int i = 0; i < ROUNDS; i++) {
		cost = cost_empty(wire, 1, REPEAT, &code);
		best = cost < best ? cost : best;
	}
	return best;
}

/* Single runs, the empty program and this one in turn; best and median of both, as differences. */
static void measure_single(const char *what, const struct wire *wire, enum mg_hook hook,
			   __u32 ifindex, int code)
{
	static unsigned int cost[SINGLES], empty[SINGLES];
	int got;

	for (int i = 0; i < SINGLES; i++) {
		empty[i] = cost_empty(wire, ifindex, 1, &got);
		cost[i] = cost_run(fixture_program(&node, hook), wire, ifindex, 1, &got);
		assert_int_equal(got, code);
	}
	qsort(cost, SINGLES, sizeof(cost[0]), cost_order);
	qsort(empty, SINGLES, sizeof(empty[0]), cost_order);
	printf("# %-40s single %4u ns (median %u, empty program: %u)\n", what, cost[0] - empty[0],
	       cost[SINGLES / 2] - empty[SINGLES / 2], empty[0]);
}

static void measure(const char *what, const struct wire_spec *spec, enum mg_hook hook, int code)
{
	struct fixture_run run = { .hook = hook,
				   .ifindex = hook == MG_HOOK_FROM_NETDEV ? UPLINK
					      : hook == MG_HOOK_TO_POD	  ? MG_IFINDEX_BASE + SLOT_B
								       : MG_IFINDEX_BASE + SLOT_A,
				   .repeat = REPEAT };
	unsigned int best = UINT_MAX, empty;
	struct wire_spec sent = *spec;
	struct fixture_out out;
	struct wire wire;

	sent.ttl = 255;
	wire_make(&wire, &sent);
	run.in = &wire;
	empty = empty_cost(&wire);
	for (int i = 0; i < ROUNDS; i++) {
		fixture_run(&node, &run, &out);
		assert_int_equal(out.code, code);
		if (out.duration < best)
			best = out.duration;
	}
	printf("# %-40s %4u ns (empty program: %u)\n", what, best - empty, empty);
}

static void establish(struct wire_spec *spec, int family)
{
	scene_again(&node);
	cost_handshake(spec, family);
}

static void test_paths(void **state)
{
	struct wire_spec spec;
	struct wire wire;
	char what[64];

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		spec = cost_udp(POD_B, family);
		scene_again(&node);
		snprintf(what, sizeof(what), "IPv%d transient flow, pod to pod", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_REDIRECT);
		establish(&spec, family);
		snprintf(what, sizeof(what), "IPv%d established flow, pod to pod", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_REDIRECT);
		wire_make(&wire, &spec);
		measure_single(what, &wire, MG_HOOK_FROM_POD, MG_IFINDEX_BASE + SLOT_A,
			       TC_ACT_REDIRECT);
		spec = cost_udp(POD_B, family);
		spec.src = place_addr(NODE_OWN, family);
		snprintf(what, sizeof(what), "IPv%d known flow, host to pod", family);
		measure(what, &spec, MG_HOOK_TO_POD, TC_ACT_UNSPEC);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		spec = cost_udp(POD_B, family);
		spec.dport = 54;
		snprintf(what, sizeof(what), "IPv%d first packet, denied", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_SHOT);
	}
}

/* --- other nodes --------------------------------------------------------------------------- */
static const char *const mode_names[] = { "native", "IP-in-IP", "VXLAN" };
static const __u32 modes[] = { 0, MG_ADDR_IPIP, MG_ADDR_VXLAN };

static struct wire_spec far_segment(bool back, int family, unsigned char flags)
{
	struct wire_spec spec =
		back ? scene_packet(POD_FAR, POD_A, family) : scene_packet(POD_A, POD_FAR, family);

	spec.proto = IPPROTO_TCP;
	spec.sport = back ? 80 : 40000;
	spec.dport = back ? 40000 : 80;
	spec.tcp_flags = flags;
	spec.payload = 64;
	return spec;
}

/* As node 2 sends it to us. */
static void from_far(struct wire *wire, const struct wire_spec *spec, int mode, int family)
{
	struct outer_spec around = uplink_outer(mode == 2 ? VXLAN : IPIP, family, 0);
	struct wire inner;

	around.from = NODE_FAR;
	around.to = NODE_OWN;
	wire_make(&inner, spec);
	if (mode)
		outer_make(wire, &around, &inner);
	else
		*wire = inner;
}

/* A connection from pod A to the far pod, established here. */
static void establish_far(int mode, int family)
{
	struct wire_spec there = far_segment(false, family, WIRE_SYN);
	struct wire_spec back = far_segment(true, family, WIRE_SYN | WIRE_ACK);
	struct wire wire;
	int code;

	uplink_again(&node, modes[mode], family);
	wire_make(&wire, &there);
	cost_run(fixture_program(&node, MG_HOOK_FROM_POD), &wire, MG_IFINDEX_BASE + SLOT_A, 1,
		 &code);
	from_far(&wire, &back, mode, family);
	cost_run(fixture_program(&node, MG_HOOK_FROM_NETDEV), &wire, UPLINK, 1, &code);
	there.tcp_flags = WIRE_ACK;
	wire_make(&wire, &there);
	cost_run(fixture_program(&node, MG_HOOK_FROM_POD), &wire, MG_IFINDEX_BASE + SLOT_A, 1,
		 &code);
	assert_int_equal(fixture_flow(&node, &there, &(struct mg_flow){ 0 }), 2);
}

static void test_other_nodes(void **state)
{
	struct wire_spec spec;
	struct wire wire;
	char what[64];

	(void)state;
	for (int i = 0; i < 6; i++) {
		int mode = i / 2, family = i & 1 ? 6 : 4;

		establish_far(mode, family);
		spec = far_segment(false, family, WIRE_ACK);
		wire_make(&wire, &spec);
		snprintf(what, sizeof(what), "IPv%d known flow, to remote pod, %s", family,
			 mode_names[mode]);
		if (!mode)
			measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_REDIRECT);
		measure_single(what, &wire, MG_HOOK_FROM_POD, MG_IFINDEX_BASE + SLOT_A,
			       TC_ACT_REDIRECT);
		spec = far_segment(true, family, WIRE_ACK);
		from_far(&wire, &spec, mode, family);
		snprintf(what, sizeof(what), "IPv%d known flow, from remote pod, %s", family,
			 mode_names[mode]);
		if (!mode)
			measure(what, &spec, MG_HOOK_FROM_NETDEV, TC_ACT_REDIRECT);
		measure_single(what, &wire, MG_HOOK_FROM_NETDEV, UPLINK, TC_ACT_REDIRECT);
	}
}

/* The first packet of a flow each time: another source port a run. */
static void test_new_from_tunnel(void **state)
{
	static unsigned int cost[SINGLES], empty[SINGLES];
	int code;

	(void)state;
	for (int i = 0; i < 6; i++) {
		int mode = i / 2, family = i & 1 ? 6 : 4;
		char what[64];

		uplink_again(&node, modes[mode], family);
		for (int j = 0; j < SINGLES; j++) {
			struct wire_spec spec = far_segment(true, family, WIRE_SYN);
			struct wire wire;

			spec.sport = (unsigned short)(1024 + j);
			from_far(&wire, &spec, mode, family);
			empty[j] = cost_empty(&wire, UPLINK, 1, &code);
			cost[j] = cost_run(fixture_program(&node, MG_HOOK_FROM_NETDEV), &wire,
					   UPLINK, 1, &code);
			assert_int_equal(code, TC_ACT_REDIRECT);
		}
		qsort(cost, SINGLES, sizeof(cost[0]), cost_order);
		qsort(empty, SINGLES, sizeof(empty[0]), cost_order);
		snprintf(what, sizeof(what), "IPv%d new flow, from remote pod, %s", family,
			 mode_names[mode]);
		printf("# %-40s single %4u ns (median %u, empty program: %u)\n", what,
		       cost[0] - empty[0], cost[SINGLES / 2] - empty[SINGLES / 2], empty[0]);
	}
}

/* --- many rules, many flows ------------------------------------------------------------------ */
/* The set of pod A knows rules identities, none of which is the receiver's, or rules nets. */
static void deny_after(unsigned int rules, bool nets, int family)
{
	static struct fixture_entry entries[1000];
	struct mg_class allow = { .verdict = MG_VERDICT_ALLOW };
	char text[64];

	for (unsigned int i = 0; i < rules; i++) {
		entries[i] = (struct fixture_entry){ (__u16)(100 + i), 0 };
		entries[i].value = fixture_class(&node, &allow);
		if (!nets)
			continue;
		snprintf(text, sizeof(text),
			 family == 4 ? "198.18.%u.%u/30" : "2001:db9:%x:%x::/64", i / 64,
			 i % 64 * (family == 4 ? 4 : 1));
		fixture_net(&node, text, (struct mg_ident){ .identity = (__u16)(100 + i) });
	}
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, fixture_set(&node, entries, rules));
}

static void test_many_rules(void **state)
{
	static const unsigned int counts[] = { 1, 1000 };
	struct wire_spec spec;
	char what[64];

	(void)state;
	for (int i = 0; i < 8; i++) {
		unsigned int rules = counts[i & 1];
		bool nets = i & 2;
		int family = i & 4 ? 6 : 4;

		scene_again(&node);
		deny_after(rules, nets, family);
		spec = cost_udp(nets ? WORLD : POD_B, family);
		snprintf(what, sizeof(what), "IPv%d first packet, denied, %u %s", family, rules,
			 nets ? "nets" : "selectors");
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_SHOT);
	}
}

static void test_cold(void **state)
{
	unsigned int cost, empty;

	(void)state;
	scene_again(&node);
	for (int round = 0; round < 3; round++) {
		cost = cost_cold(IPPROTO_UDP, 0, &empty);
		if (round != 1)
			printf("# %-40s cold %4u ns (median; empty program: %u)\n",
			       round ? "IPv4 transient flow, pod to pod"
				     : "IPv4 new flow, pod to pod",
			       cost, empty);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_other_nodes),
		cmocka_unit_test(test_new_from_tunnel),
		cmocka_unit_test(test_many_rules),
		cmocka_unit_test(test_cold),
	};

	return cmocka_run_group_tests(tests, open_node, scene_teardown);
}
