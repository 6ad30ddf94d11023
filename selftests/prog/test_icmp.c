/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors: they follow the flow they speak of, without a judgement of their own, and are
 * translated outside and inside (RFC 5508 sections 4.1, 4.2); those of strangers are not. And the
 * error that from_pod makes itself where the hop limit ends (RFC 792, 1812, 4443).
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

static const unsigned char protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

static const struct {
	unsigned char type, code;
} errors[2][5] = {
	{ { 3, 1 }, { 3, 3 }, { 3, 4 }, { 11, 0 }, { 12, 0 } },
	{ { 1, 0 }, { 1, 4 }, { 2, 0 }, { 3, 0 }, { 4, 0 } },
};

#define EACH_ERROR(proto, family, error)                                                           \
	for (size_t each_ = 0; each_ < sizeof(protocols); each_++)                                 \
		for (int family = 4; family <= 6; family += 2)                                     \
			for (unsigned char error = 0, proto = protocols[each_]; error < 5; error++)

static struct wire_spec opening(unsigned char proto, enum place dst, int family)
{
	struct wire_spec spec = scene_packet(POD_A, dst, family);

	spec.proto = proto;
	spec.sport = 4000;
	spec.dport = 443;
	spec.payload = 40;
	if (proto == IPPROTO_TCP)
		spec.tcp_flags = WIRE_SYN;
	if (proto == IPPROTO_ICMP) {
		spec.icmp_type = family == 4 ? 8 : 128;
		spec.icmp_id = 4000;
	}
	return spec;
}

/* An error from src to dst that quotes the packet's first `quoted` bytes; 0: all of it. */
static void make_error(struct wire *wire, int family, unsigned int error, const struct wire *about,
		       size_t quoted, union mg_addr src, union mg_addr dst)
{
	struct wire_spec spec = scene_packet(POD_A, WORLD, family);
	struct wire quote = *about;

	if (quoted)
		quote.length = WIRE_ETH + quoted;
	spec.src = src;
	spec.dst = dst;
	spec.proto = IPPROTO_ICMP;
	spec.icmp_type = errors[family == 6][error].type;
	spec.icmp_code = errors[family == 6][error].code;
	spec.quote = &quote;
	wire_make(wire, &spec);
}

static void set_ttl(struct wire *wire, int family, unsigned char ttl)
{
	wire->data[WIRE_ETH + (family == 4 ? 8 : 7)] = ttl;
	if (family == 4)
		wire_sum4(wire);
}

/* Delivered to pod A: want, with one hop less and the link's addresses. */
static void expect_pod_gets(const struct fixture_out *out, struct wire *want, int family)
{
	const struct mg_step *door = fixture_step(out, MG_STEP_DELIVER);

	if (out->code != TC_ACT_REDIRECT || !door)
		fail_msg("code %d, %s", out->code, fixture_reason_name(out->reason));
	assert_int_equal(door->a, SLOT_A);
	set_ttl(want, family, 63);
	pod_mac(SLOT_A, want->data);
	memcpy(want->data + 6, host_mac, 6);
	wire_expect(&out->wire, want, "error");
}

/* About a translated packet, by its receiver or by a router on the way; whole quotes and the
 * eight bytes that RFC 792 demands. The pod sees the quote as it sent it (less a hop). */
static void test_about_translated(void **state)
{
	static const enum place speakers[] = { WORLD, NODE_FAR };

	(void)state;
	EACH_ERROR(proto, family, error)
	for (int turn = 0; turn < 4; turn++) {
		struct wire_spec spec = opening(proto, WORLD, family);
		size_t quoted = turn & 1 ? (family == 4 ? 28 : 48) : 0;
		union mg_addr speaker = place_addr(speakers[turn >> 1], family);
		struct wire wire, sent, want;
		struct fixture_out out;

		uplink_again(&node, MG_ADDR_IPIP, 0);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		make_error(&wire, family, error, &out.wire, quoted, speaker,
			   place_addr(NODE_OWN, family));
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		spec.ttl = 63;
		wire_make(&sent, &spec);
		make_error(&want, family, error, &sent, quoted, speaker, spec.src);
		expect_pod_gets(&out, &want, family);
	}
}

static unsigned short port_of(const struct wire *wire, int family)
{
	const unsigned char *l4 = wire->data + WIRE_ETH + (family == 4 ? 20 : 40);

	return (unsigned short)(l4[0] << 8 | l4[1]);
}

/* The pod speaks of an answer that it got. */
static void test_by_the_pod(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (int family = 4; family <= 6; family += 2) {
			struct wire_spec spec = opening(protocols[i], WORLD, family), back = spec;
			union mg_addr own = place_addr(NODE_OWN, family);
			struct wire about, wire, want;
			struct fixture_run run = { .hook = MG_HOOK_FROM_POD,
						   .ifindex = MG_IFINDEX_BASE + SLOT_A,
						   .in = &wire };
			struct fixture_out out;
			unsigned short port;

			uplink_again(&node, 0, 0);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			port = port_of(&out.wire, family);
			back.src = spec.dst;
			back.dst = spec.src;
			back.sport = spec.dport;
			back.dport = spec.sport;
			wire_make(&about, &back);
			make_error(&wire, family, 1, &about, 0, spec.src, spec.dst);
			fixture_run(&node, &run, &out);
			expect_sent(&out);
			back.dst = own;
			back.dport = port;
			wire_make(&about, &back);
			make_error(&want, family, 1, &about, 0, own, spec.dst);
			set_ttl(&want, family, 63);
			wire_expect(&out.wire, &want, "error of the pod");
		}
	}
}

/* Without translation: no policy of its own, in a tunnel or not. */
static void test_about_plain(void **state)
{
	(void)state;
	EACH_ERROR(proto, family, error)
	{
		struct wire_spec spec = opening(proto, POD_FAR, family);
		struct wire wire, sent, whole;
		struct outer_spec around;
		struct fixture_out out;

		uplink_again(&node, MG_ADDR_IPIP, 0);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		wire_make(&sent, &spec);
		make_error(&wire, family, error, &sent, 0, place_addr(NODE_FAR, family), spec.src);
		around = uplink_outer(IPIP, family, 0);
		around.from = NODE_FAR;
		around.to = NODE_OWN;
		outer_make(&whole, &around, &wire);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &whole, 0, &out);
		expect_pod_gets(&out, &wire, family);
	}
}

static void test_unrelated(void **state)
{
	(void)state;
	EACH_ERROR(proto, family, error)
	{
		struct wire_spec spec = opening(proto, WORLD, family);
		union mg_addr pod = place_addr(POD_A, family), own = place_addr(NODE_OWN, family);
		union mg_addr world = place_addr(WORLD, family);
		struct wire wire, sent;
		struct fixture_out out;

		uplink_again(&node, 0, 0);
		wire_make(&sent, &spec);
		/* about what was never sent */
		make_error(&wire, family, error, &sent, 0, world, pod);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		expect_drop(&out, MG_DROP_ICMP_UNRELATED);
		/* about another one's packet */
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		make_error(&wire, family, error, &sent, 0, world, place_addr(POD_B, family));
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		expect_drop(&out, MG_DROP_ICMP_UNRELATED);
		/* to the host, about its own packets */
		spec.src = own;
		wire_make(&sent, &spec);
		make_error(&wire, family, error, &sent, 0, world, own);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		expect_passed(&out, &wire);
		/* in the name of a pod of this node */
		make_error(&wire, family, error, &sent, 0, place_addr(POD_B, family), pod);
		uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
		expect_drop(&out, MG_DROP_LOCAL_CLAIMED);
	}
}

/* --- made here ----------------------------------------------------------------------------- */
static void expect_time_exceeded(const struct fixture_out *out, const struct wire_spec *spec)
{
	int family = spec->src.w[2] ? 4 : 6;
	struct wire sent, want;

	assert_int_equal(out->code, TC_ACT_REDIRECT);
	assert_int_equal(out->reason, MG_DROP_TTL);
	assert_int_equal(out->drops, 1);
	wire_make(&sent, spec);
	sent.length = WIRE_ETH + ((sent.length - WIRE_ETH) & ~3UL); /* whole words */
	make_error(&want, family, 3, &sent, 0, place_addr(NODE_OWN, family), spec->src);
	memcpy(want.data, sent.data + 6, 6);
	memcpy(want.data + 6, sent.data, 6);
	if (family == 4) {
		want.data[WIRE_ETH + 1] = 0xc0; /* RFC 1812 section 4.3.2.5 */
		wire_sum4(&want);
	}
	wire_expect(&out->wire, &want, "time exceeded");
}

static void test_time_exceeded(void **state)
{
	static const enum place ends[] = { WORLD, POD_FAR, POD_B };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < 3; i++) {
			for (unsigned short payload = 8; payload < 12; payload++) {
				struct wire_spec spec = opening(IPPROTO_UDP, ends[i], family);
				struct fixture_out out;

				uplink_again(&node, MG_ADDR_IPIP, 0);
				/* without translation the quote is easy to say */
				node.local.nat_total = 0;
				fixture_local(&node);
				if (ends[i] == WORLD)
					fixture_ident(
						&node, place_text(WORLD, family),
						(struct mg_ident){ .flags = MG_ADDR_ANY_POOL });
				spec.ttl = 1;
				spec.payload = payload;
				scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
				expect_time_exceeded(&out, &spec);
			}
		}
	}
}

/* RFC 1122 section 3.2.2: no error about an error, about a later fragment. */
static void test_no_answer(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = opening(IPPROTO_UDP, POD_FAR, family), back = spec;
		struct fixture_run run = { .hook = MG_HOOK_FROM_POD,
					   .ifindex = MG_IFINDEX_BASE + SLOT_A };
		struct fixture_out out;
		struct wire about, wire;

		uplink_again(&node, MG_ADDR_IPIP, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		back.src = spec.dst;
		back.dst = spec.src;
		back.sport = spec.dport;
		back.dport = spec.sport;
		wire_make(&about, &back);
		make_error(&wire, family, 1, &about, 0, spec.src, spec.dst);
		set_ttl(&wire, family, 1);
		run.in = &wire;
		fixture_run(&node, &run, &out);
		expect_drop(&out, MG_DROP_TTL);
		spec.more_fragments = true;
		spec.fragment_id = 7;
		spec.payload = 40;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		spec.more_fragments = false;
		spec.fragment = 6;
		spec.ttl = 1;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_TTL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_about_translated), cmocka_unit_test(test_by_the_pod),
		cmocka_unit_test(test_about_plain),	 cmocka_unit_test(test_unrelated),
		cmocka_unit_test(test_time_exceeded),	 cmocka_unit_test(test_no_answer),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
