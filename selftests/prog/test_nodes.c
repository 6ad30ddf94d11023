/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From node to node: what from_pod of one puts out goes into from_netdev of the other, natively,
 * in IP-in-IP and in VXLAN, there and back; and to the world and back by source translation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/sandbox.h"
#include "selftests/lib/uplink.h"

enum mode { NATIVE, IN_IPIP, IN_VXLAN, MODES };

static struct fixture near_node, far_node;

static void add_peer(struct fixture *fx, __u32 number, enum place place)
{
	const struct mg_way way = { .ifindex = UPLINK, .mtu = 1500 };
	struct mg_peer peer = { .ip4 = place_addr(place, 4),
				.ip6 = place_addr(place, 6),
				.way4 = way,
				.way6 = way,
				.flags = MG_PEER_KNOWN,
				.vtep_mac = { 0x66, 0, 0, 0, 0, (__u8)number },
				.vtep_mac6 = { 0x66, 0, 0, 0, 6, (__u8)number } };

	fixture_put_at(fx, "mg_peers", number, &peer);
}

static void add_uplink(struct fixture *fx)
{
	const struct mg_uplink uplink = { .mtu = 1500, .ip4 = fx->local.ip4, .ip6 = fx->local.ip6 };

	fixture_put_at(fx, "mg_uplinks", UPLINK, &uplink);
}

static void set_local(struct fixture *fx, __u16 number, enum place address)
{
	fx->local.node = number;
	fx->local.ip4 = place_addr(address, 4);
	fx->local.ip6 = place_addr(address, 6);
	fx->local.flags = MG_LOCAL_IPIP | MG_LOCAL_VXLAN;
	fx->local.vni = VNI;
	fx->local.nat[0] = (struct mg_port_range){ 10240, 29999 };
	fx->local.nat_total = 29999 - 10240 + 1;
	fixture_local(fx);
	add_uplink(fx);
}

static struct mg_ident pod_ident(__u16 identity, __u16 on_node, enum mode mode)
{
	struct mg_ident ident = { .identity = identity,
				  .node = on_node,
				  .flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL |
					   MG_ADDR_NAT_OUT };

	if (mode == IN_IPIP)
		ident.flags |= MG_ADDR_IPIP;
	else if (mode == IN_VXLAN)
		ident.flags |= MG_ADDR_VXLAN;
	return ident;
}

static void know_pod(struct fixture *fx, enum place place, __u16 slot, struct mg_ident ident)
{
	if (slot) {
		ident.flags |= MG_ADDR_LOCAL;
		ident.slot = slot;
	}
	fixture_ident(fx, place_text(place, 4), ident);
	fixture_ident(fx, place_text(place, 6), ident);
}

static void know_host(struct fixture *fx, enum place place, __u16 number)
{
	struct mg_ident ident = { .node = number,
				  .flags = MG_ADDR_HOST |
					   (number == fx->local.node ? MG_ADDR_LOCAL : 0) };

	fixture_ident(fx, place_text(place, 4), ident);
	fixture_ident(fx, place_text(place, 6), ident);
}

/* Both nodes with pools of this mode. */
static void scene(enum mode mode)
{
	scene_again(&near_node);
	scene_again(&far_node);
	set_local(&near_node, 1, NODE_OWN);
	set_local(&far_node, 2, NODE_FAR);
	add_peer(&near_node, 2, NODE_FAR);
	add_peer(&far_node, 1, NODE_OWN);
	know_host(&far_node, NODE_OWN, 1);
	know_host(&far_node, NODE_FAR, 2);
	know_pod(&near_node, POD_A, SLOT_A, pod_ident(IDENT_A, 1, mode));
	know_pod(&near_node, POD_FAR, 0, pod_ident(IDENT_FAR, 2, mode));
	fixture_pod(&far_node, SLOT_A, place_text(POD_FAR, 4), place_text(POD_FAR, 6), IDENT_FAR);
	know_pod(&far_node, POD_FAR, SLOT_A, pod_ident(IDENT_FAR, 2, mode));
	know_pod(&far_node, POD_A, 0, pod_ident(IDENT_A, 1, mode));
}

static int open_nodes(void **state)
{
	char root[PATH_MAX];

	(void)state;
	if (sandbox_enter(root))
		return -1;
	scene_open(&near_node, NULL, 0);
	scene_open(&far_node, NULL, 0);
	uplink_build();
	return 0;
}

static int close_nodes(void **state)
{
	(void)state;
	fixture_close(&near_node);
	fixture_close(&far_node);
	return 0;
}

static void into(struct fixture *fx, const struct wire *wire, struct fixture_out *out)
{
	struct fixture_run run = { .hook = MG_HOOK_FROM_NETDEV,
				   .ifindex = UPLINK,
				   .ingress_ifindex = UPLINK,
				   .in = wire };

	fixture_run(fx, &run, out);
}

/* Out of one node's pod (slot A) and into the other's; asserts what the far pod gets. */
static void travel(struct fixture *from, struct fixture *to, const struct wire_spec *spec,
		   size_t overhead)
{
	struct wire_spec want = *spec;
	struct fixture_out out, in;
	struct wire wire;

	wire_make(&wire, spec);
	scene_run(from, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	if (out.code != TC_ACT_REDIRECT)
		fail_msg("not sent: %s", fixture_reason_name(out.reason));
	assert_int_equal(fixture_step(&out, MG_STEP_FORWARD)->a, UPLINK);
	assert_true(out.mark & from->config.mark);
	assert_int_equal(out.wire.length, wire.length + overhead);
	into(to, &out.wire, &in);
	if (in.code != TC_ACT_REDIRECT)
		fail_msg("not delivered: %s", fixture_reason_name(in.reason));
	assert_int_equal(fixture_step(&in, MG_STEP_DELIVER)->a, SLOT_A);
	want.ttl = 62;
	pod_mac(SLOT_A, want.to);
	memcpy(want.from, host_mac, sizeof(want.from));
	wire_make(&wire, &want);
	wire_expect(&in.wire, &wire, "at the far pod");
}

static struct wire_spec segment(enum place src, enum place dst, int family, unsigned char flags)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_TCP;
	spec.sport = src == POD_A ? 40000 : 80;
	spec.dport = src == POD_A ? 80 : 40000;
	spec.tcp_flags = flags;
	return spec;
}

static size_t overhead_of(enum mode mode, int family)
{
	static const size_t bytes[MODES][2] = { { 0, 0 }, { 20, 40 }, { 50, 70 } };

	return bytes[mode][family == 6];
}

static void test_there_and_back(void **state)
{
	struct wire_spec there, back;
	struct mg_flow flow;

	(void)state;
	for (int i = 0; i < 2 * MODES; i++) {
		enum mode mode = i / 2;
		int family = i & 1 ? 6 : 4;
		size_t overhead = overhead_of(mode, family);

		scene(mode);
		there = segment(POD_A, POD_FAR, family, WIRE_SYN);
		back = segment(POD_FAR, POD_A, family, WIRE_SYN | WIRE_ACK);
		travel(&near_node, &far_node, &there, overhead);
		travel(&far_node, &near_node, &back, overhead);
		there.tcp_flags = WIRE_ACK;
		back.tcp_flags = WIRE_ACK;
		for (int j = 0; j < 2; j++) {
			travel(&near_node, &far_node, &there, overhead);
			travel(&far_node, &near_node, &back, overhead);
		}
		assert_int_equal(fixture_flow(&near_node, &there, &flow), 2);
		assert_true(flow.flags & MG_FLOW_JUDGED_OUT);
		assert_false(flow.flags & MG_FLOW_JUDGED_IN);
		assert_int_equal(fixture_flow(&far_node, &there, &flow), 2);
		assert_true(flow.flags & MG_FLOW_JUDGED_IN);
		assert_int_equal(!!(flow.flags & MG_FLOW_FROM_TUNNEL), mode != NATIVE);
	}
}

/* A pool's switch of encapsulation breaks no connection. */
static void test_switch_of_mode(void **state)
{
	struct wire_spec there;
	enum mode last = NATIVE;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene(NATIVE);
		there = segment(POD_A, POD_FAR, family, WIRE_SYN);
		for (enum mode mode = NATIVE; mode < MODES; last = mode++) {
			know_pod(&near_node, POD_FAR, 0, pod_ident(IDENT_FAR, 2, mode));
			fixture_commit(&near_node, (struct mg_commit){ 0 });
			travel(&near_node, &far_node, &there, overhead_of(mode, family));
		}
		assert_int_equal(last, IN_VXLAN);
	}
}

static void test_receiver_judges(void **state)
{
	struct wire_spec there;
	struct fixture_out out, in;

	(void)state;
	for (int i = 0; i < 2 * MODES; i++) {
		int family = i & 1 ? 6 : 4;

		scene(i / 2);
		fixture_assign(&far_node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
		there = segment(POD_A, POD_FAR, family, WIRE_SYN);
		scene_run(&near_node, MG_HOOK_FROM_POD, SLOT_A, &there, &out);
		into(&far_node, &out.wire, &in);
		assert_int_equal(in.reason, MG_DROP_POLICY_INGRESS);
	}
}

/* --- the world ----------------------------------------------------------------------------- */
/* What the world sees of a packet, by the step log: the new port. */
static unsigned short goes_out(const struct wire_spec *spec, int family)
{
	struct wire_spec seen = *spec;
	struct fixture_out out;
	struct wire want;

	scene_run(&near_node, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	if (out.code != TC_ACT_REDIRECT)
		fail_msg("not sent: %s, code %d", fixture_reason_name(out.reason), out.code);
	seen.src = place_addr(NODE_OWN, family);
	seen.sport = (unsigned short)(out.wire.data[WIRE_ETH + (family == 4 ? 20 : 40)] << 8 |
				      out.wire.data[WIRE_ETH + (family == 4 ? 21 : 41)]);
	seen.ttl = 63;
	wire_make(&want, &seen);
	wire_expect(&out.wire, &want, "on the uplink");
	assert_in_range(seen.sport, 10240, 29999);
	return seen.sport;
}

static void comes_back(struct wire_spec *answer, unsigned short port, int family)
{
	struct wire_spec want = *answer;
	struct fixture_out in;
	struct wire wire;

	answer->dst = place_addr(NODE_OWN, family);
	answer->dport = port;
	wire_make(&wire, answer);
	into(&near_node, &wire, &in);
	if (in.code != TC_ACT_REDIRECT)
		fail_msg("not delivered: %s", fixture_reason_name(in.reason));
	want.dst = place_addr(POD_A, family);
	want.dport = 40000;
	want.ttl = 63;
	pod_mac(SLOT_A, want.to);
	memcpy(want.from, host_mac, sizeof(want.from));
	wire_make(&wire, &want);
	wire_expect(&in.wire, &wire, "at the pod");
}

static void test_world(void **state)
{
	struct wire_spec ask, answer;
	unsigned short port;
	struct mg_flow flow;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene(NATIVE);
		ask = segment(POD_A, WORLD, family, WIRE_SYN);
		answer = segment(WORLD, NODE_OWN, family, WIRE_SYN | WIRE_ACK);
		port = goes_out(&ask, family);
		assert_int_equal(goes_out(&ask, family), port);
		comes_back(&answer, port, family);
		ask.tcp_flags = WIRE_ACK;
		answer.tcp_flags = WIRE_ACK;
		assert_int_equal(goes_out(&ask, family), port);
		assert_int_equal(fixture_flow(&near_node, &ask, &flow), 2);
		assert_int_equal(fixture_flow(&near_node, &answer, &flow), 2);
		/* a change that does not concern it, twice over */
		for (int i = 0; i < 2; i++) {
			fixture_commit(&near_node, (struct mg_commit){ 0 });
			comes_back(&answer, port, family);
			comes_back(&answer, port, family);
			assert_int_equal(goes_out(&ask, family), port);
		}
		/* one that does: the next answer is the last one, and both rows are gone */
		fixture_assign(&near_node, SLOT_A, 1, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		fixture_commit(&near_node, (struct mg_commit){ .column = 1 });
		struct fixture_out out;
		struct wire wire;

		wire_make(&wire, &answer);
		into(&near_node, &wire, &out);
		assert_int_equal(out.reason, MG_DROP_POLICY_EGRESS);
		assert_int_equal(fixture_flow(&near_node, &ask, &flow), 0);
		assert_int_equal(fixture_flow(&near_node, &answer, &flow), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_switch_of_mode),
		cmocka_unit_test(test_receiver_judges),
		cmocka_unit_test(test_world),
	};

	return cmocka_run_group_tests(tests, open_nodes, close_nodes);
}
