/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source translation (natOutgoing): what is translated, ports, answers, collisions, ends.
 * Sources: the design's section 5, projectcalico.org/v3 IPPool and FelixConfiguration, RFC 4787
 * (REQ-1, REQ-2), RFC 5382, RFC 5508.
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
#include <sys/socket.h>
#include <unistd.h>

#include "selftests/lib/uplink.h"

static const unsigned char protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

#define EACH_CASE(proto, family)                                                                   \
	for (size_t each_ = 0; each_ < sizeof(protocols); each_++)                                 \
		for (int family = 4; family <= 6; family += 2)                                     \
			for (unsigned char proto = protocols[each_], once_ = 1; once_; once_ = 0)

/* The first packet of a connection of pod A to the world. */
static struct wire_spec opening(unsigned char proto, int family)
{
	struct wire_spec spec = scene_packet(POD_A, WORLD, family);

	spec.proto = proto;
	spec.sport = 4000;
	spec.dport = 443;
	spec.payload = 33;
	if (proto == IPPROTO_TCP)
		spec.tcp_flags = WIRE_SYN;
	if (proto == IPPROTO_ICMP) {
		spec.icmp_type = family == 4 ? 8 : 128;
		spec.icmp_id = 4000;
		spec.payload = 0;
	}
	return spec;
}

static unsigned short port_at(const struct wire *wire, unsigned char proto, size_t at)
{
	const unsigned char *ip = wire->data + WIRE_ETH;
	const unsigned char *l4 = ip + (ip[0] >> 4 == 4 ? 20 : 40);

	if (proto == IPPROTO_ICMP)
		at = 4;
	return (unsigned short)(l4[at] << 8 | l4[at + 1]);
}

static void set_port(struct wire_spec *spec, unsigned short port)
{
	if (spec->proto == IPPROTO_ICMP)
		spec->icmp_id = port;
	else
		spec->sport = port;
}

/* Sends spec out of pod A's device; the packet must leave as spec from this address and a port
 * of the range, with right checksums. Returns the port. */
static unsigned short leaves(const struct wire_spec *spec, union mg_addr source)
{
	struct wire_spec after = *spec;
	struct fixture_out out;
	struct wire want;
	unsigned short port;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	expect_sent(&out);
	expect_sums(&out.wire);
	port = port_at(&out.wire, spec->proto, 0);
	after.src = source;
	after.ttl = 63;
	set_port(&after, port);
	wire_make(&want, &after);
	wire_expect(&out.wire, &want, "translated packet");
	return port;
}

/* The answer to spec, as it comes to the translated end. */
static struct wire_spec answer(const struct wire_spec *spec, union mg_addr source,
			       unsigned short port)
{
	struct wire_spec back = scene_answer(spec);

	back.dst = source;
	back.dport = port;
	if (spec->proto == IPPROTO_ICMP)
		back.icmp_id = port;
	return back;
}

static void arrives(const struct wire_spec *spec, const struct wire_spec *back)
{
	struct wire_spec want = *back;
	struct fixture_out out;

	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, back, &out);
	want.dst = spec->src;
	want.dport = spec->sport;
	if (spec->proto == IPPROTO_ICMP)
		want.icmp_id = spec->icmp_id;
	expect_delivery(&out, &want, SLOT_A);
	expect_sums(&out.wire);
}

static void test_there_and_back(void **state)
{
	(void)state;
	EACH_CASE(proto, family)
	{
		union mg_addr own = place_addr(NODE_OWN, family);
		struct wire_spec spec = opening(proto, family), back;
		unsigned short port;

		uplink_again(&node, MG_ADDR_IPIP, 0);
		port = leaves(&spec, own);
		assert_in_range(port, NAT_FIRST, NAT_LAST);
		back = answer(&spec, own, port);
		arrives(&spec, &back);
		spec.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
		assert_int_equal(leaves(&spec, own), port);
		back.tcp_flags = spec.tcp_flags;
		arrives(&spec, &back);
	}
}

static void test_promotion_and_end(void **state)
{
	union mg_addr own = place_addr(NODE_OWN, 4);
	struct wire_spec spec = opening(IPPROTO_TCP, 4), back;
	struct fixture_out out;
	struct mg_flow flow;
	unsigned short port;

	(void)state;
	uplink_again(&node, 0, 0);
	port = leaves(&spec, own);
	back = answer(&spec, own, port);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(fixture_flow(&node, &back, &flow), 1);
	arrives(&spec, &back);
	spec.tcp_flags = WIRE_ACK;
	leaves(&spec, own);
	/* after the handshake both rows are established */
	assert_int_equal(fixture_flow(&node, &spec, &flow), 2);
	assert_int_equal(fixture_flow(&node, &back, &flow), 2);
	back.tcp_flags = WIRE_RST;
	arrives(&spec, &back);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
	assert_int_equal(fixture_flow(&node, &back, &flow), 1);
	/* a new connection on the old tuple is a new one, with both rows */
	spec.tcp_flags = WIRE_SYN;
	port = leaves(&spec, own);
	back = answer(&spec, own, port);
	arrives(&spec, &back);
	/* a stranger's segment to a port of the range belongs to nobody here */
	back.sport++;
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
	assert_int_equal(out.code, -1);
}

/* IPPool.natOutgoing: to destinations in no pool; disabled ones count. */
static void test_what_is_translated(void **state)
{
	const struct mg_ident pool = { .flags = MG_ADDR_ANY_POOL };
	struct mg_ident host = { .node = NODE_2, .flags = MG_ADDR_HOST }, source;
	struct wire_spec spec;
	struct fixture_out out;
	union mg_addr pod;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		/* a disabled pool */
		uplink_again(&node, 0, 0);
		spec = opening(IPPROTO_UDP, family);
		fixture_ident(&node, place_text(WORLD, family), pool);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		assert_null(fixture_step(&out, MG_STEP_NAT));
		/* an address of another node is in no pool */
		fixture_ident(&node, place_text(WORLD, family), host);
		fixture_forget(&node);
		leaves(&spec, place_addr(NODE_OWN, family));
		/* natOutgoingExclusions: IPPoolsAndHostIPs */
		node.local.flags |= MG_LOCAL_NAT_SKIP_HOSTS;
		fixture_local(&node);
		fixture_forget(&node);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		assert_null(fixture_step(&out, MG_STEP_NAT));
		pod = place_addr(WORLD, family);
		fixture_del(&node, "mg_addrs", &pod);
		/* a pool without natOutgoing */
		uplink_again(&node, 0, 0);
		pod = place_addr(POD_A, family);
		assert_true(fixture_get(&node, "mg_addrs", &pod, &source));
		source.flags &= (__u16)~MG_ADDR_NAT_OUT;
		fixture_ident(&node, place_text(POD_A, family), source);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_sent(&out);
		assert_null(fixture_step(&out, MG_STEP_NAT));
	}
}

static void test_given_address(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		union mg_addr given = fixture_addr(family == 4 ? "198.51.100.7" : "2001:db8:7::7");
		struct wire_spec spec = opening(IPPROTO_UDP, family), back;

		uplink_again(&node, 0, 0);
		node.local.nat4 = fixture_addr("198.51.100.7");
		node.local.nat6 = fixture_addr("2001:db8:7::7");
		fixture_local(&node);
		back = answer(&spec, given, leaves(&spec, given));
		arrives(&spec, &back);
	}
}

static void ranges(unsigned short first, unsigned short last)
{
	node.local.nat[0] = (struct mg_port_range){ first, last };
	node.local.nat_total = (__u16)(last - first + 1);
	fixture_local(&node);
}

static void test_ranges(void **state)
{
	union mg_addr own = place_addr(NODE_OWN, 4);
	bool seen[4] = { false };

	(void)state;
	uplink_again(&node, 0, 0);
	node.local.nat[1] = (struct mg_port_range){ 61000, 61001 };
	ranges(30000, 30001);
	node.local.nat_total = 4;
	fixture_local(&node);
	for (unsigned short i = 0; i < 4; i++) {
		struct wire_spec spec = opening(IPPROTO_UDP, 4);
		unsigned short port;

		/* the same destination: every port once */
		spec.sport = (unsigned short)(4000 + i);
		port = leaves(&spec, own);
		assert_true(port == 30000 || port == 30001 || port == 61000 || port == 61001);
		assert_false(seen[(port & 1) + (port >= 61000) * 2]);
		seen[(port & 1) + (port >= 61000) * 2] = true;
	}
	node.local.nat[1] = (struct mg_port_range){ 0, 0 };
	fixture_local(&node);
}

static void test_exhaustion(void **state)
{
	union mg_addr own = place_addr(NODE_OWN, 4);
	struct wire_spec spec = opening(IPPROTO_UDP, 4);
	struct fixture_out out;

	(void)state;
	uplink_again(&node, 0, 0);
	ranges(30000, 30000);
	assert_int_equal(leaves(&spec, own), 30000);
	spec.sport++;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_drop(&out, MG_DROP_NAT_EXHAUSTED);
	/* another destination has all ports of its own */
	spec.dport++;
	assert_int_equal(leaves(&spec, own), 30000);
}

static int own_socket(int type, int family, unsigned short port)
{
	struct sockaddr_storage at = { 0 };
	struct sockaddr_in *in4 = (void *)&at;
	struct sockaddr_in6 *in6 = (void *)&at;
	int fd = socket(family == 4 ? AF_INET : AF_INET6, type, 0), one = 1;

	at.ss_family = family == 4 ? AF_INET : AF_INET6;
	if (family == 4)
		in4->sin_port = htons(port);
	else
		in6->sin6_port = htons(port);
	assert_true(fd >= 0);
	if (family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* The host's own sockets keep what they have. */
static void test_sockets_are_left_alone(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		union mg_addr own = place_addr(NODE_OWN, family);

		for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
			unsigned char proto = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
			struct wire_spec spec = opening(proto, family);
			struct fixture_out out;
			int fd = own_socket(type, family, 30000);

			uplink_again(&node, 0, 0);
			ranges(30000, 30001);
			assert_int_equal(leaves(&spec, own), 30001);
			spec.sport++;
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_drop(&out, MG_DROP_NAT_EXHAUSTED);
			close(fd);
			assert_int_equal(leaves(&spec, own), 30000);
		}
	}
}

/* SCTP keeps its port, other protocols have none: one at a time for each destination. */
static void test_kept_ports(void **state)
{
	static const unsigned char kept[] = { IPPROTO_SCTP, 47 };

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		for (size_t i = 0; i < sizeof(kept); i++) {
			union mg_addr own = place_addr(NODE_OWN, family);
			struct wire_spec spec = opening(kept[i], family), other = spec, back;
			struct fixture_out out;
			struct mg_flow flow;

			if (kept[i] == 47)
				spec.sport = spec.dport = other.sport = other.dport = 0;
			uplink_again(&node, 0, 0);
			assert_int_equal(kept[i] == 47 || leaves(&spec, own) == spec.sport, 1);
			if (kept[i] == 47)
				leaves(&spec, own);
			back = answer(&spec, own, spec.sport);
			arrives(&spec, &back);
			/* another pod with the same port would be mistaken for it */
			other.src = place_addr(POD_B, family);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &other, &out);
			expect_drop(&out, MG_DROP_NAT_EXHAUSTED);
			/* until the first one's time is over */
			assert_int_equal(fixture_flow(&node, &spec, &flow), 1);
			flow.seen -= 2 * node.local.timeout[MG_TMO_GENERIC];
			fixture_flow_put(&node, &spec, &flow);
			fixture_flow(&node, &back, &flow);
			flow.seen -= 2 * node.local.timeout[MG_TMO_GENERIC];
			fixture_flow_put(&node, &back, &flow);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &other, &out);
			expect_sent(&out);
		}
	}
}

static void test_unsupported(void **state)
{
	static const unsigned char others[] = { 33, 51, 136 }; /* DCCP, AH, UDP-Lite */

	(void)state;
	for (size_t i = 0; i < sizeof(others); i++) {
		struct wire_spec spec = opening(others[i], 4);
		struct fixture_out out;

		uplink_again(&node, 0, 0);
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		expect_drop(&out, MG_DROP_NAT_UNSUPPORTED);
	}
}

/* RFC 768: no checksum stays none. */
static void test_no_checksum(void **state)
{
	struct wire_spec spec = opening(IPPROTO_UDP, 4);
	struct fixture_run run = { .hook = MG_HOOK_FROM_POD, .ifindex = MG_IFINDEX_BASE + SLOT_A };
	struct fixture_out out;
	struct wire wire;

	(void)state;
	uplink_again(&node, 0, 0);
	wire_make(&wire, &spec);
	memset(wire.data + WIRE_ETH + 26, 0, 2);
	run.in = &wire;
	fixture_run(&node, &run, &out);
	expect_sent(&out);
	assert_int_equal(out.wire.data[WIRE_ETH + 26] | out.wire.data[WIRE_ETH + 27], 0);
}

/* What the stack sends of a pod (its first packet was too large, or the pod goes through the
 * stack) is translated on the uplink, and answers come the same way. */
static void test_through_the_stack(void **state)
{
	(void)state;
	EACH_CASE(proto, family)
	{
		struct wire_spec spec = opening(proto, family), after = spec, back;
		union mg_addr own = place_addr(NODE_OWN, family);
		struct fixture_out out;
		struct wire wire, want;

		uplink_again(&node, 0, 0);
		fixture_ep_flags(&node, SLOT_A, MG_EP_READY | MG_EP_THROUGH_STACK);
		for (int i = 0; i < 2; i++) {
			wire_make(&wire, &spec);
			scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
			expect_passed(&out, &wire);
			uplink_run(&node, MG_HOOK_TO_NETDEV, &wire, 0, &out);
			after.src = own;
			set_port(&after, port_at(&out.wire, proto, 0));
			wire_make(&want, &after);
			expect_passed(&out, &want);
			spec.tcp_flags = after.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
		}
		back = answer(&spec, own, proto == IPPROTO_ICMP ? after.icmp_id : after.sport);
		arrives(&spec, &back);
	}
}

static void test_denied_later(void **state)
{
	union mg_addr own = place_addr(NODE_OWN, 4);
	struct wire_spec spec = opening(IPPROTO_UDP, 4), back;
	struct fixture_out out;
	struct mg_flow flow;

	(void)state;
	uplink_again(&node, 0, 0);
	back = answer(&spec, own, leaves(&spec, own));
	arrives(&spec, &back);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
	fixture_commit(&node, (struct mg_commit){ .column = 0 });
	/* design, section 4: its packets and replies drop, its translation rows go */
	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, &back, &out);
	expect_drop(&out, MG_DROP_POLICY_EGRESS);
	assert_int_equal(fixture_flow(&node, &spec, &flow), 0);
	assert_int_equal(fixture_flow(&node, &back, &flow), 0);
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
	expect_drop(&out, MG_DROP_POLICY_EGRESS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_promotion_and_end),
		cmocka_unit_test(test_what_is_translated),
		cmocka_unit_test(test_given_address),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_exhaustion),
		cmocka_unit_test(test_sockets_are_left_alone),
		cmocka_unit_test(test_kept_ports),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_no_checksum),
		cmocka_unit_test(test_through_the_stack),
		cmocka_unit_test(test_denied_later),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
