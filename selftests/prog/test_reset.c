/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resets for senders on revoked and unknown TCP connections (MG_LOCAL_RST): byte for byte by RFC
 * 9293 section 3.10.7.1, to pods, out of the uplink and back through tunnels; and what must stay
 * unanswered.
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

#define SEQ 0xfffffff0U
#define ACK 0x12345678U
#define PAYLOAD 100

static const __u32 modes[] = { [IPIP] = MG_ADDR_IPIP, [VXLAN] = MG_ADDR_VXLAN };

static void again(__u32 mode, int outer)
{
	uplink_again(&node, mode, outer);
	node.local.flags |= MG_LOCAL_RST;
	fixture_local(&node);
}

static struct wire_spec segment(enum place src, enum place dst, int family, unsigned char flags)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_TCP;
	spec.sport = src == POD_A ? 40000 : 80;
	spec.dport = src == POD_A ? 80 : 40000;
	spec.tcp_flags = flags;
	spec.seq = SEQ;
	spec.ack = flags & WIRE_ACK ? ACK : 0;
	return spec;
}

/* What RFC 9293 says of a segment that arrives where there is no connection. */
static struct wire_spec reset_of(const struct wire_spec *spec)
{
	struct wire_spec rst = { .src = spec->dst,
				 .dst = spec->src,
				 .proto = IPPROTO_TCP,
				 .sport = spec->dport,
				 .dport = spec->sport,
				 .dont_fragment = true,
				 .no_window = true };

	memcpy(rst.to, spec->from, sizeof(rst.to));
	memcpy(rst.from, spec->to, sizeof(rst.from));
	if (spec->tcp_flags & WIRE_ACK) {
		rst.tcp_flags = WIRE_RST;
		rst.seq = spec->ack;
		return rst;
	}
	rst.tcp_flags = WIRE_RST | WIRE_ACK;
	rst.ack = spec->seq + spec->payload + !!(spec->tcp_flags & WIRE_FIN);
	return rst;
}

static void expect_reset(const struct fixture_out *out, const struct wire_spec *spec,
			 enum mg_reason reason)
{
	struct wire_spec rst = reset_of(spec);
	struct wire want;

	if (out->code != TC_ACT_REDIRECT || out->reason != reason || out->drops != 1)
		fail_msg("code %d, %s, %u counted", out->code, fixture_reason_name(out->reason),
			 out->drops);
	assert_true(out->mark & node.config.mark);
	assert_non_null(fixture_step(out, MG_STEP_RESET));
	wire_make(&want, &rst);
	wire_expect(&out->wire, &want, "reset");
	expect_sums(&out->wire);
}

static void connect_pods(int family)
{
	struct wire_spec syn = segment(POD_A, POD_B, family, WIRE_SYN);
	struct wire_spec answer = segment(POD_B, POD_A, family, WIRE_SYN | WIRE_ACK);
	struct wire_spec ack = segment(POD_A, POD_B, family, WIRE_ACK);
	struct fixture_out out;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &syn, &out);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &answer, &out);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &ack, &out);
	assert_int_equal(fixture_flow(&node, &ack, &(struct mg_flow){ 0 }), 2);
}

static void revoke(__u16 slot, enum mg_stage stage)
{
	fixture_assign(&node, slot, 1, stage, MG_SET_DROP_ALL);
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
}

/* A set that commits put back is in force for the next case. */
static void restore(void)
{
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_ALLOW_ALL);
	fixture_assign(&node, SLOT_A, 1, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
}

/* --- between pods ---------------------------------------------------------------------------- */
static void test_both_ends_are_told(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = segment(POD_A, POD_B, family, WIRE_ACK);
		struct fixture_out out;

		again(0, 0);
		connect_pods(family);
		revoke(SLOT_A, MG_STAGE_WORKLOAD_OUT);
		spec.payload = PAYLOAD;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_reset(&out, &spec, MG_DROP_POLICY_EGRESS);
		assert_int_equal(fixture_flow(&node, &spec, &(struct mg_flow){ 0 }), 0);
		/* it may be lost: whatever comes next is told too */
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_reset(&out, &spec, MG_DROP_NO_FLOW);
		spec = segment(POD_B, POD_A, family, WIRE_ACK);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &spec, &out);
		expect_reset(&out, &spec, MG_DROP_NO_FLOW);
		restore();
	}
}

/* The receiver's policy, met by the receiver's own segment first. */
static void test_receiver(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = segment(POD_B, POD_A, family, WIRE_ACK);
		struct fixture_out out;

		again(0, 0);
		connect_pods(family);
		revoke(SLOT_B, MG_STAGE_WORKLOAD_IN);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &spec, &out);
		expect_reset(&out, &spec, MG_DROP_POLICY_INGRESS);
		restore();
	}
}

/* Sequence numbers: with ACK the sender's own acknowledgement, without it what the segment fills,
 * FIN counted, around zero. */
static void test_numbers(void **state)
{
	static const unsigned char flags[] = { WIRE_ACK, WIRE_FIN | WIRE_ACK, 0, WIRE_FIN };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(flags); i++) {
			for (unsigned short payload = 0; payload <= 33; payload += 33) {
				struct wire_spec spec = segment(POD_A, POD_B, family, flags[i]);
				struct fixture_out out;

				again(0, 0);
				spec.payload = payload;
				scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
				expect_reset(&out, &spec, MG_DROP_NO_FLOW);
			}
		}
	}
}

static void test_unanswered(void **state)
{
	static const unsigned char flags[] = { WIRE_SYN, WIRE_RST, WIRE_RST | WIRE_ACK,
					       WIRE_SYN | WIRE_ACK };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec;
		struct fixture_out out;

		for (size_t i = 0; i < sizeof(flags); i++) {
			again(0, 0);
			fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
			spec = segment(POD_A, POD_B, family, flags[i]);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_drop(&out,
				    flags[i] == WIRE_SYN ? MG_DROP_POLICY_EGRESS : MG_DROP_NO_FLOW);
		}
		spec = segment(POD_A, POD_B, family, WIRE_ACK);
		spec.more_fragments = true;
		spec.payload = 64;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_NO_FLOW);
		/* a datagram has no reset */
		spec = segment(POD_A, POD_B, family, 0);
		spec.proto = IPPROTO_UDP;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_POLICY_EGRESS);
		/* nobody asked for resets */
		uplink_again(&node, 0, 0);
		spec = segment(POD_A, POD_B, family, WIRE_ACK);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_NO_FLOW);
	}
}

/* --- from outside ---------------------------------------------------------------------------- */
/* A connection from node 2's pod to pod A, by segments in whatever they come in. */
static void arrive(const struct outer_spec *around, const struct wire_spec *spec,
		   struct fixture_out *out)
{
	struct wire wire, whole;

	wire_make(&wire, spec);
	if (around)
		outer_make(&whole, around, &wire);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, around ? &whole : &wire, 0, out);
}

static void connect_in(const struct outer_spec *around, enum place src, int family)
{
	struct wire_spec syn = segment(src, POD_A, family, WIRE_SYN);
	struct fixture_out out;

	arrive(around, &syn, &out);
	expect_delivery(&out, &syn, SLOT_A);
}

static void test_native(void **state)
{
	static const enum place sources[] = { POD_FAR, WORLD };

	(void)state;
	for (int i = 0; i < 4; i++) {
		int family = i & 1 ? 6 : 4;
		struct wire_spec spec = segment(sources[i / 2], POD_A, family, WIRE_ACK);
		struct fixture_out out;

		again(0, 0);
		connect_in(NULL, sources[i / 2], family);
		revoke(SLOT_A, MG_STAGE_WORKLOAD_IN);
		arrive(NULL, &spec, &out);
		expect_reset(&out, &spec, MG_DROP_POLICY_INGRESS);
		arrive(NULL, &spec, &out);
		/* strangers learn nothing of connections */
		if (sources[i / 2] == WORLD)
			expect_drop(&out, MG_DROP_NO_FLOW);
		else
			expect_reset(&out, &spec, MG_DROP_NO_FLOW);
		restore();
	}
}

/* The answer of the world to a translated connection that is revoked. */
static void test_translated(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec syn = segment(POD_A, WORLD, family, WIRE_SYN);
		struct wire_spec back = segment(WORLD, NODE_OWN, family, WIRE_SYN | WIRE_ACK);
		struct fixture_out out;

		again(0, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &syn, &out);
		expect_sent(&out);
		back.dport = (unsigned short)fixture_step(&out, MG_STEP_NAT)->a;
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
		revoke(SLOT_A, MG_STAGE_WORKLOAD_OUT);
		back.tcp_flags = WIRE_ACK;
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
		expect_reset(&out, &back, MG_DROP_POLICY_EGRESS);
		restore();
	}
}

static void expect_tunnelled(const struct fixture_out *out, const struct wire_spec *spec,
			     enum tunnel tunnel, int outer)
{
	struct outer_spec around = uplink_outer(tunnel, outer, 0);
	size_t at = WIRE_ETH + (outer == 4 ? 20 : 40);
	struct wire_spec rst = reset_of(spec);
	struct wire inner, want;

	expect_sent(
		&(struct fixture_out){ .code = out->code, .mark = out->mark, .steps = out->steps });
	around.sport = (unsigned short)(out->wire.data[at] << 8 | out->wire.data[at + 1]);
	wire_make(&inner, &rst);
	outer_make(&want, &around, &inner);
	if (outer == 6)
		memcpy(want.data + WIRE_ETH + 1, out->wire.data + WIRE_ETH + 1, 3);
	wire_expect(&out->wire, &want, "reset in a tunnel");
}

static void test_tunnels(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		enum tunnel tunnel = i & 1 ? VXLAN : IPIP;
		int outer = i & 2 ? 6 : 4, inner = i & 4 ? 6 : 4;
		struct wire_spec spec = segment(POD_FAR, POD_A, inner, WIRE_ACK);
		struct outer_spec around = uplink_outer(tunnel, outer, 0);
		struct fixture_out out;

		again(modes[tunnel], outer);
		around.from = NODE_FAR;
		around.to = NODE_OWN;
		connect_in(&around, POD_FAR, inner);
		revoke(SLOT_A, MG_STAGE_WORKLOAD_IN);
		spec.payload = PAYLOAD;
		arrive(&around, &spec, &out);
		assert_int_equal(out.reason, MG_DROP_POLICY_INGRESS);
		expect_tunnelled(&out, &spec, tunnel, outer);
		arrive(&around, &spec, &out);
		assert_int_equal(out.reason, MG_DROP_NO_FLOW);
		expect_tunnelled(&out, &spec, tunnel, outer);
		restore();
	}
}

/* Answers are few: a flood of segments gets no flood of resets. The last case, for others would
 * find nothing left of the window. */
static void test_limit(void **state)
{
	struct wire_spec spec = segment(POD_A, POD_B, 4, WIRE_ACK);
	unsigned int answers = 0, runs = 2000;
	struct fixture_out out;

	(void)state;
	again(0, 0);
	for (unsigned int i = 0; i < runs; i++) {
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		answers += out.code == TC_ACT_REDIRECT;
		assert_int_equal(out.reason, MG_DROP_NO_FLOW);
		assert_int_equal(out.drops, 1);
	}
	assert_in_range(answers, 1, runs - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_are_told),
		cmocka_unit_test(test_receiver),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_unanswered),
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_translated),
		cmocka_unit_test(test_tunnels),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
