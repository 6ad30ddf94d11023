/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket of the node opens a connection on the tuple on which a pod's translated connection gets
 * its answers: each of the two gets its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"
#include "selftests/lib/uplink.h"

static const unsigned char protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

#define EACH_CASE(proto, family)                                                                   \
	for (int family = 4; family <= 6; family += 2)                                             \
		for (unsigned int i_ = 0, proto = 0;                                               \
		     i_ < sizeof(protocols) && (proto = protocols[i_], true); i_++)

static struct wire_spec opening(enum place src, unsigned int proto, int family, unsigned short port)
{
	struct wire_spec spec = scene_packet(src, WORLD, family);

	spec.proto = (unsigned char)proto;
	spec.sport = spec.icmp_id = port;
	spec.dport = 80;
	spec.payload = 24;
	spec.tcp_flags = WIRE_SYN;
	spec.icmp_type = family == 4 ? 8 : 128;
	return spec;
}

static void set_source(struct wire_spec *spec, unsigned short port)
{
	spec->sport = spec->icmp_id = port;
}

/* A pod's connection to the world; its translated port, with which the tuple is taken. */
static unsigned short claim(unsigned int proto, int family)
{
	struct wire_spec spec = opening(POD_A, proto, family, 4711);
	struct fixture_out out;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_sent(&out);
	return (unsigned short)fixture_step(&out, MG_STEP_NAT)->a;
}

/* The host's packet leaves with another port: returned; 0: unchanged. */
static unsigned short host_sends(const struct wire_spec *spec)
{
	struct wire_spec after = *spec;
	struct fixture_out out;
	struct wire want;

	uplink_run_spec(&node, MG_HOOK_TO_NETDEV, spec, &out);
	expect_sums(&out.wire);
	set_source(&after,
		   (unsigned short)(out.wire.data[WIRE_ETH + (addr_is4(&spec->dst) ? 20 : 40) +
						  (spec->proto == IPPROTO_ICMP ? 4 : 0)]
					    << 8 |
				    out.wire.data[WIRE_ETH + (addr_is4(&spec->dst) ? 21 : 41) +
						  (spec->proto == IPPROTO_ICMP ? 4 : 0)]));
	wire_make(&want, &after);
	expect_passed(&out, &want);
	return after.sport == spec->sport ? 0 : after.sport;
}

/* What the host's stack gets of an answer to a packet that left from port. */
static void host_gets(const struct wire_spec *sent, unsigned short port)
{
	struct wire_spec seen = *sent, back, want;
	struct fixture_out out;
	struct wire wire;

	set_source(&seen, port);
	back = scene_answer(&seen);
	want = scene_answer(sent);
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
	wire_make(&wire, &want);
	expect_passed(&out, &wire);
	expect_sums(&out.wire);
}

static void test_moved(void **state)
{
	(void)state;
	EACH_CASE(proto, family)
	{
		struct wire_spec spec, pod, back;
		unsigned short taken, port;
		struct fixture_out out;

		uplink_again(&node, 0, 0);
		taken = claim(proto, family);
		spec = opening(NODE_OWN, proto, family, taken);
		port = host_sends(&spec);
		assert_in_range(port, NAT_FIRST, NAT_LAST);
		assert_int_not_equal(port, taken);
		host_gets(&spec, port);
		/* what follows keeps its port */
		spec.tcp_flags = WIRE_ACK;
		assert_int_equal(host_sends(&spec), port);
		host_gets(&spec, port);
		assert_int_equal(host_sends(&spec), port);
		/* and the pod its answers */
		pod = opening(POD_A, proto, family, 4711);
		spec = pod;
		spec.src = place_addr(NODE_OWN, family);
		set_source(&spec, taken);
		back = scene_answer(&spec);
		uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
		pod = scene_answer(&pod);
		expect_delivery(&out, &pod, SLOT_A);
	}
}

/* TCP's end is seen by both rows: a second connection from the same tuple is another one. */
static void test_closed(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec;
		unsigned short port;

		uplink_again(&node, 0, 0);
		spec = opening(NODE_OWN, IPPROTO_TCP, family, claim(IPPROTO_TCP, family));
		port = host_sends(&spec);
		spec.tcp_flags = WIRE_RST;
		assert_int_equal(host_sends(&spec), port);
		spec.tcp_flags = WIRE_SYN;
		assert_in_range(host_sends(&spec), NAT_FIRST, NAT_LAST);
	}
}

/* Nothing is done to what meets nobody, to other ports, and to a connection that was there first.
 */
static void test_left_alone(void **state)
{
	(void)state;
	EACH_CASE(proto, family)
	{
		struct wire_spec spec;
		unsigned short taken;

		uplink_again(&node, 0, 0);
		taken = claim(proto, family);
		spec = opening(NODE_OWN, proto, family,
			       (unsigned short)(taken == NAT_FIRST ? taken + 1 : taken - 1));
		assert_int_equal(host_sends(&spec), 0);
		spec = opening(NODE_OWN, proto, family, 40000);
		assert_int_equal(host_sends(&spec), 0);
		if (proto != IPPROTO_TCP)
			continue;
		spec = opening(NODE_OWN, proto, family, taken);
		spec.tcp_flags = WIRE_ACK;
		assert_int_equal(host_sends(&spec), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_left_alone),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
