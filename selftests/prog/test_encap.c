/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the tunnel: outer headers field by field, for each kind, outer and inner family, from pods
 * and from the host's own sockets; which way a pool's mode chooses; what does not fit.
 * Sources: RFC 2003, 4213, 2473, 7348, 6040, 6864, 1191, 4443.
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

static struct wire_spec far_packet(int family)
{
	struct wire_spec spec = scene_packet(POD_A, POD_FAR, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 4000;
	spec.dport = 53;
	spec.payload = 33;
	return spec;
}

/* The source port and the flow label are a hash's: taken over after their range is asserted. */
static void take_hash(struct outer_spec *spec, const struct fixture_out *out, struct wire *want)
{
	const unsigned char *ip = out->wire.data + WIRE_ETH;
	size_t at = spec->family == 4 ? 20 : 40;

	if (spec->family == 6) {
		want->data[WIRE_ETH + 1] |= ip[1] & 15;
		memcpy(want->data + WIRE_ETH + 2, ip + 2, 2);
	}
	if (spec->tunnel == VXLAN) {
		spec->sport = (unsigned short)(ip[at] << 8 | ip[at + 1]);
		assert_in_range(spec->sport, SPORT_FIRST, SPORT_FIRST + SPORT_COUNT - 1);
		memcpy(want->data + WIRE_ETH + at, ip + at, 2);
	}
}

static void expect_tunnel(const struct fixture_out *out, struct outer_spec spec,
			  const struct wire_spec *inner)
{
	struct wire want, packet;

	expect_sent(out);
	wire_make(&packet, inner);
	outer_make(&want, &spec, &packet);
	take_hash(&spec, out, &want);
	wire_expect(&out->wire, &want, "outer packet");
}

static void test_from_pod(void **state)
{
	static const unsigned char classes[] = { 0, 1, 2, 3, 0xb8, 0xff };

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (size_t i = 0; i < sizeof(classes); i++) {
		struct wire_spec spec = far_packet(inner);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		spec.tos = classes[i];
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		spec.ttl = 63;
		/* traffic class and ECN are the inner packet's (RFC 2983 uniform, RFC 6040 normal)
		 */
		expect_tunnel(&out, uplink_outer(tunnel, outer, classes[i]), &spec);
	}
}

static void test_from_host(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = far_packet(inner);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		spec.src = place_addr(NODE_OWN, inner);
		uplink_run_spec(&node, MG_HOOK_TO_NETDEV, &spec, &out);
		expect_tunnel(&out, uplink_outer(tunnel, outer, 0), &spec);
	}
}

static void test_families(void **state)
{
	(void)state;
	/* where nodes have both, the outer packet is of the inner one's family, as Calico's are */
	for (int inner = 4; inner <= 6; inner += 2) {
		struct wire_spec spec = far_packet(inner);
		struct fixture_out out;

		uplink_again(&node, MG_ADDR_VXLAN, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		spec.ttl = 63;
		expect_tunnel(&out, uplink_outer(VXLAN, inner, 0), &spec);
	}
}

static unsigned int port_of(unsigned short sport)
{
	struct wire_spec spec = far_packet(4);
	struct fixture_out out;

	spec.sport = sport;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	return (unsigned int)(out.wire.data[34] << 8 | out.wire.data[35]);
}

static void test_source_ports_spread(void **state)
{
	unsigned int different = 0;

	(void)state;
	uplink_again(&node, MG_ADDR_VXLAN, 4);
	assert_int_equal(port_of(4000), port_of(4000));
	for (unsigned short i = 0; i < 64; i++)
		different +=
			port_of((unsigned short)(4000 + i)) != port_of((unsigned short)(4001 + i));
	assert_true(different > 56); /* 64 flows over 1,000 ports */
}

static void expect_native(struct wire_spec spec)
{
	struct fixture_out out;
	struct wire want;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	spec.ttl = 63;
	wire_make(&want, &spec);
	wire_expect(&out.wire, &want, "native packet");
}

static void test_modes(void **state)
{
	struct fixture_out out;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		__u32 same = family == 4 ? MG_PEER_SUBNET4 : MG_PEER_SUBNET6;
		struct wire_spec spec = far_packet(family);

		uplink_again(&node, 0, 0); /* Never */
		expect_native(spec);
		uplink_again(&node, MG_ADDR_IPIP | MG_ADDR_CROSS, 0);
		uplink_peer(&node, same, UPLINK_MTU, 0);
		expect_native(spec);
		uplink_again(&node, MG_ADDR_IPIP | MG_ADDR_CROSS, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		assert_int_equal(fixture_step(&out, MG_STEP_ENCAP)->a, family == 4 ? 4 : 41);
		uplink_again(&node, MG_ADDR_VXLAN, 0); /* Always, in the same subnet too */
		uplink_peer(&node, same, UPLINK_MTU, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		assert_int_equal(fixture_step(&out, MG_STEP_ENCAP)->a, 17);
	}
}

static void test_no_way(void **state)
{
	struct mg_peer peer = { .flags = MG_PEER_KNOWN };
	struct fixture_out out;
	struct wire_spec spec = far_packet(4);

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	fixture_put_at(&node, "mg_peers", NODE_2, &peer);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_drop(&out, MG_DROP_NO_NODE);
}

/* What to_netdev leaves alone. */
static void test_host_passes(void **state)
{
	static const enum place ends[] = { WORLD, NODE_FAR, GROUP };
	struct fixture_out out;
	struct wire wire;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			struct wire_spec spec = far_packet(family);

			uplink_again(&node, MG_ADDR_IPIP, 0);
			spec.src = place_addr(NODE_OWN, family);
			spec.dst = place_addr(ends[i], family);
			wire_make(&wire, &spec);
			uplink_run(&node, MG_HOOK_TO_NETDEV, &wire, 0, &out);
			expect_passed(&out, &wire);
		}
	}
}

static void test_mark_passes_and_goes(void **state)
{
	struct wire_spec spec = far_packet(4);
	struct fixture_out out;
	struct wire wire;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	wire_make(&wire, &spec);
	uplink_run(&node, MG_HOOK_TO_NETDEV, &wire, 0x01000007, &out);
	expect_passed(&out, &wire);
	assert_int_equal(out.mark, 7);
}

/* --- what does not fit -------------------------------------------------------------------- */
static unsigned int overhead(enum tunnel tunnel, int outer)
{
	return (outer == 4 ? 20U : 40U) + (tunnel == VXLAN ? 30U : 0U);
}

static struct wire_spec sized(int family, unsigned int length)
{
	struct wire_spec spec = far_packet(family);

	spec.payload = (unsigned short)(length - (family == 4 ? 28 : 48));
	spec.dont_fragment = true;
	return spec;
}

/* RFC 1191 section 4, RFC 4443 section 3.2: type, code, MTU, the packet's beginning. */
static void expect_answer_of(const struct fixture_out *out, const struct wire_spec *spec,
			     const union mg_addr *speaker, unsigned int mtu)
{
	int family = spec->src.w[2] ? 4 : 6;
	size_t header = family == 4 ? 20 : 40, limit = family == 4 ? 576 : 1280;
	const unsigned char *ip = out->wire.data + WIRE_ETH, *icmp = ip + header;
	struct wire sent;

	assert_int_equal(out->code, TC_ACT_REDIRECT);
	assert_int_equal(out->reason, MG_DROP_TOO_BIG);
	assert_int_equal(out->drops, 1);
	wire_make(&sent, spec);
	assert_memory_equal(out->wire.data, sent.data + 6, 6);
	assert_memory_equal(out->wire.data + 6, sent.data, 6);
	if (family == 4) {
		assert_memory_equal(ip + 12, &speaker->b[12], 4);
		assert_memory_equal(ip + 16, &spec->src.b[12], 4);
		assert_int_equal(icmp[0] << 8 | icmp[1], 3 << 8 | 4);
	} else {
		assert_memory_equal(ip + 8, speaker, 16);
		assert_memory_equal(ip + 24, &spec->src, 16);
		assert_int_equal(icmp[0] << 8 | icmp[1], 2 << 8);
	}
	assert_int_equal(icmp[4] << 24 | icmp[5] << 16 | icmp[6] << 8 | icmp[7], mtu);
	assert_true(out->wire.length - WIRE_ETH <= limit);
	/* as much as fits, less what makes the sum easy: 32 bytes at most */
	assert_true(out->wire.length - WIRE_ETH > limit - 32);
	assert_memory_equal(icmp + 8, sent.data + WIRE_ETH,
			    out->wire.length - WIRE_ETH - header - 8);
	expect_sums(&out->wire);
}

static void expect_answer(const struct fixture_out *out, const struct wire_spec *spec,
			  unsigned int mtu)
{
	union mg_addr own = place_addr(NODE_OWN, spec->src.w[2] ? 4 : 6);

	expect_answer_of(out, spec, &own, mtu);
}

static void test_too_big(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		unsigned int fits = UPLINK_MTU - overhead(tunnel, outer);
		struct wire_spec spec = sized(inner, fits);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		spec = sized(inner, fits + 1);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_answer(&out, &spec, fits);
	}
}

/* To the node's own socket, or one behind it, the receiver speaks: back into the stack, unmarked.
 */
static void test_too_big_of_host(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	for (int may_be_cut = 0; may_be_cut <= (inner == 4); may_be_cut++) {
		unsigned int fits = UPLINK_MTU - overhead(tunnel, outer);
		struct wire_spec spec = sized(inner, fits);
		struct fixture_out out;

		uplink_again(&node, modes[tunnel], outer);
		spec.src = place_addr(NODE_OWN, inner);
		spec.dont_fragment = !may_be_cut;
		uplink_run_spec(&node, MG_HOOK_TO_NETDEV, &spec, &out);
		expect_sent(&out);
		spec.payload++;
		uplink_run_spec(&node, MG_HOOK_TO_NETDEV, &spec, &out);
		expect_answer_of(&out, &spec, &spec.dst, fits);
		assert_int_equal(out.mark, 0);
	}
}

/* One that may be fragmented goes to the stack, whose route has the same MTU. */
static void test_too_big_may_be_cut(void **state)
{
	struct wire_spec spec = sized(4, UPLINK_MTU);
	struct fixture_out out;
	struct wire wire;

	(void)state;
	uplink_again(&node, MG_ADDR_IPIP, 4);
	spec.dont_fragment = false;
	wire_make(&wire, &spec);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_passed(&out, &wire);
}

/* A router on the underlay tells of a smaller MTU; the quote is of our own outer packet. */
static void router_tells(int family, enum place about, unsigned int mtu)
{
	struct wire_spec spec = scene_packet(WORLD, NODE_OWN, family), quoted = spec;
	struct fixture_out out;
	struct wire quote, wire;
	unsigned char *icmp;

	quoted.src = place_addr(NODE_OWN, family);
	quoted.dst = place_addr(about, family);
	quoted.proto = IPPROTO_IPIP;
	quoted.payload = 28;
	wire_make(&quote, &quoted);
	spec.proto = IPPROTO_ICMP;
	spec.icmp_type = family == 4 ? 3 : 2;
	spec.icmp_code = family == 4 ? 4 : 0;
	spec.quote = &quote;
	wire_make(&wire, &spec);
	icmp = wire.data + WIRE_ETH + (family == 4 ? 20 : 40);
	icmp[6] = (unsigned char)(mtu >> 8);
	icmp[7] = (unsigned char)mtu;
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
	expect_passed(&out, &wire);
}

static void test_learnt_mtu(void **state)
{
	(void)state;
	for (int outer = 4; outer <= 6; outer += 2) {
		struct wire_spec spec = sized(4, 1400);
		struct fixture_out out;

		uplink_again(&node, MG_ADDR_IPIP, outer);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		router_tells(outer, WORLD, 1300); /* not about a node of ours */
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		router_tells(outer, NODE_FAR, 1400);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_answer(&out, &spec, 1400 - overhead(IPIP, outer));
		router_tells(outer, NODE_FAR, 60); /* no path is that small */
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_answer(&out, &spec, (outer == 4 ? 576 : 1280) - overhead(IPIP, outer));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_pod),
		cmocka_unit_test(test_from_host),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_source_ports_spread),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_no_way),
		cmocka_unit_test(test_host_passes),
		cmocka_unit_test(test_mark_passes_and_goes),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_too_big_of_host),
		cmocka_unit_test(test_too_big_may_be_cut),
		cmocka_unit_test(test_learnt_mtu),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
