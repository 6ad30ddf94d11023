/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services per packet: which backend, none, one that is taken; fragments and errors. Sources:
 * docs/services.md, Kubernetes' Service API (sessionAffinity, internalTrafficPolicy), RFC 5508
 * section 4.2 (errors).
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

/* --- nobody there ------------------------------------------------------------------------- */

static void expect_refused(const struct wire_spec *spec, const struct wire_spec *want)
{
	struct fixture_out out;
	struct wire wire;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	assert_int_equal(out.code, TC_ACT_REDIRECT);
	assert_int_equal(out.reason, MG_DROP_NO_BACKEND);
	wire_make(&wire, want);
	wire_expect(&out.wire, &wire, "refusal");
}

static void test_no_backend(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks(proto, family), want;
		union mg_addr front = spec.dst;
		struct wire about;

		scene_again(&node);
		fixture_front(&node, &front, VPORT, proto, (struct mg_front){ .set = SET });
		want = scene_answer(&spec);
		memcpy(want.to, spec.from, 6);
		memcpy(want.from, spec.to, 6);
		if (proto == IPPROTO_TCP) {
			want.tcp_flags = WIRE_RST | WIRE_ACK;
			want.ack = 1 + spec.payload;
			want.no_window = true;
			want.dont_fragment = true;
			want.payload = 0;
		} else {
			wire_make(&about, &spec);
			about.length -= (about.length - WIRE_ETH) % 4;
			want = (struct wire_spec){ .src = place_addr(NODE_OWN, family),
						   .dst = spec.src,
						   .proto = IPPROTO_ICMP,
						   .icmp_type = family == 4 ? 3 : 1,
						   .icmp_code = family == 4 ? 3 : 4,
						   .tos = family == 4 ? 0xc0 : 0,
						   .quote = &about };
			memcpy(want.to, spec.from, 6);
			memcpy(want.from, spec.to, 6);
		}
		expect_refused(&spec, &want);
		/* others have some: silence */
		fixture_front(&node, &front, VPORT, proto,
			      (struct mg_front){ .set = SET, .flags = MG_FRONT_SILENT });
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED,
			     MG_DROP_NO_LOCAL_BACKEND);
	}
}

/* What is no service's port goes its way, and so does what has no ports. */
static void test_no_service(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4);
	struct fixture_out out;

	(void)state;
	uplink_again(&node, 0, 4);
	serve(IPPROTO_UDP, 4, POD_B);
	spec.dport = VPORT + 1;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	assert_null(fixture_step(&out, MG_STEP_SERVICE));
	spec = asks(IPPROTO_ICMP, 4);
	spec.icmp_type = 8;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	assert_null(fixture_step(&out, MG_STEP_SERVICE));
}

/* --- affinity ----------------------------------------------------------------------------- */

static __u32 chosen(unsigned short sport)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4);
	const struct mg_step *step;
	struct fixture_out out;

	spec.sport = sport;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	step = fixture_step(&out, MG_STEP_SERVICE);
	assert_non_null(step);
	assert_int_equal(step->a, SET);
	return step->b;
}

static void two_backends(__u32 affinity)
{
	union mg_addr front = vip(0, 4), b = place_addr(POD_B, 4), c = place_addr(POD_QUEUE, 4);

	fixture_front(&node, &front, VPORT, IPPROTO_UDP,
		      (struct mg_front){ .set = SET, .count = 2, .affinity = affinity });
	fixture_back(&node, SET, 0, &b, BPORT, true);
	fixture_back(&node, SET, 1, &c, BPORT, true);
}

/* By 64 connections from ports of their own. */
static unsigned int both_chosen(unsigned short from)
{
	unsigned int seen = 0;

	for (unsigned short sport = from; sport < from + 64; sport++)
		seen |= 1U << chosen(sport);
	return seen;
}

static void test_choice(void **state)
{
	(void)state;
	scene_again(&node);
	two_backends(0);
	assert_int_equal(both_chosen(5000), 3);
}

static void test_affinity(void **state)
{
	struct mg_affinity_key key = { .client = place_addr(POD_A, 4), .set = SET };
	struct mg_affinity row;
	struct mg_member member = { .set = SET, .port = htons(BPORT) };
	union mg_addr front, b, c;
	__u32 first;

	(void)state;
	scene_again(&node);
	two_backends(86400);
	first = chosen(4999);
	assert_int_equal(both_chosen(5100), 1U << first);
	/* after its time the choice is free */
	assert_true(fixture_get(&node, "mg_affinity", &key, &row));
	for (unsigned int tries = 0; tries < 64; tries++) {
		row.seen -= 86401U * 954;
		fixture_put(&node, "mg_affinity", &key, &row);
		if (chosen((unsigned short)(6000 + tries)) != first)
			break;
		assert_true(fixture_get(&node, "mg_affinity", &key, &row));
		assert_in_range(tries, 0, 62);
	}
	assert_int_equal(both_chosen(5200), 1U << !first);
	assert_true(fixture_get(&node, "mg_affinity", &key, &row));
	/* one that is no backend any more is not kept to */
	front = vip(0, 4);
	b = place_addr(POD_B, 4);
	c = place_addr(POD_QUEUE, 4);
	row = (struct mg_affinity){ .addr = b, .port = htons(BPORT), .seen = row.seen };
	fixture_put(&node, "mg_affinity", &key, &row);
	member.addr = b;
	fixture_del(&node, "mg_members", &member);
	fixture_front(&node, &front, VPORT, IPPROTO_UDP,
		      (struct mg_front){ .set = SET, .count = 1, .affinity = 86400 });
	fixture_back(&node, SET, 0, &c, BPORT, true);
	assert_int_equal(chosen(7000), 0);
	assert_true(fixture_get(&node, "mg_affinity", &key, &row));
	assert_memory_equal(&row.addr, &c, sizeof(c));
}

/* A set that shrinks under a program's hands has a first slot. */
static void test_slot_gone(void **state)
{
	struct mg_back_key gone = { .set = SET, .slot = 1 };

	(void)state;
	scene_again(&node);
	two_backends(0);
	fixture_del(&node, "mg_backs", &gone);
	assert_int_equal(both_chosen(5300), 1);
}

/* --- one backend behind two addresses ------------------------------------------------------ */

/* From the same port of the client: the backend could not tell them apart. The second connection
 * is not opened; where there is another backend, the next try finds it. */
static void test_same_tuple(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		union mg_addr front = vip(1, family), other = place_addr(POD_QUEUE, family);
		struct wire_spec one = asks(proto, family), two = one, there, back, home;
		struct fixture_out out;
		int tries = 0;

		scene_again(&node);
		serve(proto, family, POD_B);
		fixture_front(&node, &front, VPORT, proto,
			      (struct mg_front){ .set = SET, .count = 1 });
		two.dst = front;
		there = translated(&one, place_addr(POD_B, family));
		delivers(SLOT_A, &one, &there, SLOT_B);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &two, DROPPED, MG_DROP_NAT_EXHAUSTED);
		fixture_front(&node, &front, VPORT, proto,
			      (struct mg_front){ .set = SET, .count = 2 });
		fixture_back(&node, SET, 1, &other, BPORT, false);
		do {
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &two, &out);
			assert_in_range(tries++, 0, 64);
		} while (out.code == TC_ACT_SHOT);
		/* the first one is as it was */
		back = scene_answer(&there);
		home = scene_answer(&one);
		delivers(SLOT_B, &back, &home, SLOT_A);
	}
}

/* --- fragments, errors --------------------------------------------------------------------- */

static void test_fragments(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = asks(IPPROTO_UDP, family), there;
		struct fixture_out out;

		scene_again(&node);
		serve(IPPROTO_UDP, family, POD_B);
		spec.more_fragments = true;
		spec.fragment_id = 99;
		spec.payload = 48;
		there = translated(&spec, place_addr(POD_B, family));
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_delivery(&out, &there, SLOT_B);
		/* the later one has no ports of its own */
		spec.fragment = there.fragment = 7;
		spec.more_fragments = there.more_fragments = false;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_delivery(&out, &there, SLOT_B);
	}
}

static void make_error(struct wire_spec *error, union mg_addr src, union mg_addr dst,
		       const struct wire *about)
{
	bool is4 = !src.d[0];

	*error = scene_packet(POD_A, WORLD, is4 ? 4 : 6);
	error->src = src;
	error->dst = dst;
	error->proto = IPPROTO_ICMP;
	error->icmp_type = is4 ? 3 : 1;
	error->icmp_code = is4 ? 1 : 0;
	error->quote = about;
}

/* What the backend, and the client, have to say about the other one's packets. */
static void test_errors(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		union mg_addr a = place_addr(POD_A, family), b = place_addr(POD_B, family);
		struct wire_spec spec = asks(proto, family), there, back, error, want;
		struct wire about, known;

		scene_again(&node);
		serve(proto, family, POD_B);
		there = translated(&spec, b);
		back = scene_answer(&there);
		delivers(SLOT_A, &spec, &there, SLOT_B);
		/* the backend about the client's */
		wire_make(&about, &there);
		make_error(&error, b, a, &about);
		wire_make(&known, &spec);
		if (proto == IPPROTO_SCTP) /* covers what is not quoted: left as it is */
			memcpy(known.data + WIRE_ETH + (family == 4 ? 28 : 48),
			       about.data + WIRE_ETH + (family == 4 ? 28 : 48), 4);
		make_error(&want, spec.dst, a, &known);
		delivers(SLOT_B, &error, &want, SLOT_A);
		/* the client about the backend's */
		want = scene_answer(&spec);
		wire_make(&about, &want);
		make_error(&error, a, spec.dst, &about);
		wire_make(&known, &back);
		if (proto == IPPROTO_SCTP)
			memcpy(known.data + WIRE_ETH + (family == 4 ? 28 : 48),
			       about.data + WIRE_ETH + (family == 4 ? 28 : 48), 4);
		make_error(&want, a, b, &known);
		delivers(SLOT_A, &error, &want, SLOT_B);
	}
}

/* A router between the nodes speaks for itself, about what the client sent. */
static void test_router_error(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4), there, error, want;
	union mg_addr router = place_addr(WORLD, 4), a = place_addr(POD_A, 4);
	struct wire about, known;
	struct fixture_out out;

	(void)state;
	uplink_again(&node, 0, 4);
	serve(IPPROTO_UDP, 4, POD_FAR);
	there = translated(&spec, place_addr(POD_FAR, 4));
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	wire_make(&about, &there);
	make_error(&error, router, a, &about);
	wire_make(&known, &spec);
	make_error(&want, router, a, &known);
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &error, &out);
	expect_delivery(&out, &want, SLOT_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_backend),   cmocka_unit_test(test_no_service),
		cmocka_unit_test(test_choice),	     cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_slot_gone),    cmocka_unit_test(test_same_tuple),
		cmocka_unit_test(test_fragments),    cmocka_unit_test(test_errors),
		cmocka_unit_test(test_router_error),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
