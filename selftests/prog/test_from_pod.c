/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from_pod on one node: what a pod may send at all, where packets go, events. Expectations are the
 * design's (section 3) and the RFCs'.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/scene.h"

#define PROTO_GRE 47

#define RUN(rows) ROWS_RUN(&node, MG_HOOK_FROM_POD, rows)

#define UDP_PACKET { .proto = IPPROTO_UDP, .sport = 4000, .dport = 53, .payload = 20 }
#define TCP_SYN_PACKET { .proto = IPPROTO_TCP, .sport = 4000, .dport = 80, .tcp_flags = WIRE_SYN }

/* --- where packets go ---------------------------------------------------------------------- */
static void through_stack(struct fixture *fx, int family)
{
	(void)family;
	fixture_ep_flags(fx, SLOT_A, MG_EP_READY | MG_EP_THROUGH_STACK);
}

static void twice(struct fixture *fx, int family)
{
	(void)family;
	fixture_ep_flags(fx, SLOT_A, MG_EP_READY | MG_EP_TWICE);
}

static const struct row ways_rows[] = {
	{ "UDP to a pod of the node", POD_A, POD_B, UDP_PACKET, .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "SYN to a pod of the node", POD_A, POD_B, TCP_SYN_PACKET, .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "last hop but one",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .sport = 1, .dport = 2, .ttl = 2 },
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "SCTP",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_SCTP, .sport = 7, .dport = 8 },
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "a protocol without ports",
	  POD_A,
	  POD_B,
	  { .proto = PROTO_GRE, .payload = 9 },
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "a pod with a queueing discipline", POD_A, POD_QUEUE, UDP_PACKET, .fate = TO_DEVICE,
	  .out_slot = SLOT_QUEUE },
	{ "a pod whose policy is not in force", POD_A, POD_LATE, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_NOT_READY },
	{ "the own host", POD_A, NODE_OWN, UDP_PACKET, .fate = TO_STACK },
	{ "an address of an own block that no pod has", POD_A, POOL_LOST, UDP_PACKET,
	  .fate = DROPPED, .reason = MG_DROP_BLACKHOLE },
	{ "a pool's address in no block", POD_A, POOL_NONE, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_NO_ROUTE },
	{ "a pod of a node without a row", POD_A, POD_FAR, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_NO_NODE },
	{ "endpoint through the stack", POD_A, POD_B, UDP_PACKET, .prepare = through_stack,
	  .fate = TO_STACK },
	{ "by TCX and clsact at once, to the own host", POD_A, NODE_OWN, UDP_PACKET,
	  .prepare = twice, .fate = TO_STACK_OK },
	{ "by TCX and clsact at once, to a pod", POD_A, POD_B, UDP_PACKET, .prepare = twice,
	  .fate = TO_PEER, .out_slot = SLOT_B },
	{ "a group", POD_A, GROUP, UDP_PACKET, .fate = DROPPED, .reason = MG_DROP_NO_ROUTE },
};

static void test_ways(void **state)
{
	(void)state;
	RUN(ways_rows);
}

static void test_last_hop(void **state)
{
	struct wire_spec spec;
	struct fixture_out out;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		spec = scene_packet(POD_A, POD_B, family);
		spec.proto = IPPROTO_UDP;
		spec.ttl = 1;
		scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, &out);
		assert_int_equal(out.reason, MG_DROP_TTL);
		/* time exceeded, by the router, to the pod */
		assert_int_equal(out.code, TC_ACT_REDIRECT);
		if (family == 4)
			assert_int_equal(out.wire.data[WIRE_ETH + 20], 11);
		else
			assert_int_equal(out.wire.data[WIRE_ETH + 40], 3);
	}
}

/* --- whose packets ------------------------------------------------------------------------- */
static void any_source(struct fixture *fx, int family)
{
	(void)family;
	fx->local.flags |= MG_LOCAL_ANY_SOURCE;
	fixture_local(fx);
}

static void allowed_prefix(struct fixture *fx, int family)
{
	struct mg_prefix prefix = { .len = family == 4 ? 120 : 64,
				    .addr = place_addr(WORLD, family) };
	__u32 slot = SLOT_A;

	fixture_put(fx, "mg_source", &prefix, &slot);
	fixture_ep_flags(fx, SLOT_A, MG_EP_READY | MG_EP_ANY_SOURCE);
}

static void other_prefix(struct fixture *fx, int family)
{
	struct mg_prefix prefix = { .len = 128, .addr = place_addr(WORLD, family) };
	__u32 slot = SLOT_B;

	allowed_prefix(fx, family);
	fixture_put(fx, "mg_source", &prefix, &slot);
}

static void not_ready(struct fixture *fx, int family)
{
	(void)family;
	fixture_ep_flags(fx, SLOT_A, 0);
}

static void no_endpoint(struct fixture *fx, int family)
{
	const struct mg_ep none = { 0 };

	(void)family;
	fixture_put_at(fx, "mg_ep", SLOT_A, &none);
}

static void no_set(struct fixture *fx, int family)
{
	(void)family;
	fixture_assign(fx, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_NONE);
}

static const struct row sources_rows[] = {
	{ "another pod's address", POD_B, POD_B, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_SPOOFED },
	{ "an address of the world", WORLD, POD_B, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_SPOOFED },
	{ "the host's address", NODE_OWN, POD_B, UDP_PACKET, .fate = DROPPED,
	  .reason = MG_DROP_SPOOFED },
	{ "no address", NOBODY, POD_B, UDP_PACKET, .fate = DROPPED, .reason = MG_DROP_SPOOFED },
	{ "no address, all sources allowed", NOBODY, POD_B, UDP_PACKET, .prepare = any_source,
	  .fate = DROPPED, .reason = MG_DROP_SPOOFED },
	{ "link-local", LINK_A, POD_B, UDP_PACKET, .fate = DROPPED, .reason = MG_DROP_SPOOFED },
	{ "all sources allowed", WORLD, POD_B, UDP_PACKET, .prepare = any_source, .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "an allowed prefix", WORLD, POD_B, UDP_PACKET, .prepare = allowed_prefix, .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "a longer prefix of another endpoint", WORLD, POD_B, UDP_PACKET, .prepare = other_prefix,
	  .fate = DROPPED, .reason = MG_DROP_SPOOFED },
	{ "not ready", POD_A, POD_B, UDP_PACKET, .prepare = not_ready, .fate = DROPPED,
	  .reason = MG_DROP_NOT_READY },
	{ "a device without endpoint", POD_A, POD_B, UDP_PACKET, .prepare = no_endpoint,
	  .fate = DROPPED, .reason = MG_DROP_NO_ENDPOINT },
	{ "ready without a set", POD_A, POD_B, UDP_PACKET, .prepare = no_set, .fate = DROPPED,
	  .reason = MG_DROP_NOT_READY },
};

static void test_sources(void **state)
{
	(void)state;
	RUN(sources_rows);
}

/* --- what pods may not send ---------------------------------------------------------------- */
static void encap_allowed(struct fixture *fx, int family)
{
	(void)family;
	fx->local.flags |= MG_LOCAL_POD_IPIP | MG_LOCAL_POD_VXLAN;
	fixture_local(fx);
}

static const struct row refused_rows[] = {
	{ "IP-in-IP",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_IPIP, .payload = 40 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_ENCAP },
	{ "IPv6 in IP",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_IPV6, .payload = 40 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_ENCAP },
	{ "VXLAN",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .sport = 5000, .dport = 4789 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_ENCAP },
	{ "IP-in-IP where allowed",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_IPIP, .payload = 40 },
	  .prepare = encap_allowed,
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "VXLAN where allowed",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .sport = 5000, .dport = 4789 },
	  .prepare = encap_allowed,
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
	{ "DHCP answer",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .sport = 67, .dport = 68 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 4 },
	{ "DHCPv6 answer",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .sport = 547, .dport = 546 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 6 },
	{ "redirect",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_ICMP, .icmp_type = 5 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 4 },
	{ "router advertisement",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_ICMP, .icmp_type = 9 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 4 },
	{ "router advertisement",
	  LINK_A,
	  GROUP,
	  { .proto = IPPROTO_ICMPV6, .icmp_type = 134, .ttl = 255, .payload = 8 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 6 },
	{ "redirect",
	  LINK_A,
	  POD_B,
	  { .proto = IPPROTO_ICMPV6, .icmp_type = 137, .ttl = 255, .payload = 32 },
	  .fate = DROPPED,
	  .reason = MG_DROP_POD_CONTROL,
	  .family = 6 },
	{ "router solicitation",
	  LINK_A,
	  GROUP,
	  { .proto = IPPROTO_ICMPV6, .icmp_type = 133, .ttl = 255 },
	  .fate = SWALLOWED,
	  .family = 6 },
	{ "listener report",
	  NOBODY,
	  GROUP,
	  { .proto = IPPROTO_ICMPV6, .icmp_type = 143, .ttl = 1, .payload = 20 },
	  .fate = SWALLOWED,
	  .family = 6 },
	{ "link message in another's name",
	  POD_B,
	  GROUP,
	  { .proto = IPPROTO_ICMPV6, .icmp_type = 133, .ttl = 255 },
	  .fate = DROPPED,
	  .reason = MG_DROP_SPOOFED,
	  .family = 6 },
	{ "IGMP",
	  POD_A,
	  GROUP,
	  { .proto = IPPROTO_IGMP, .payload = 8 },
	  .fate = SWALLOWED,
	  .family = 4 },
	{ "ICMP error about nothing",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_ICMP, .icmp_type = 3, .payload = 28 },
	  .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED,
	  .family = 4 },
};

static void test_refused(void **state)
{
	(void)state;
	RUN(refused_rows);
}

static void test_fragments_follow(void **state)
{
	struct wire_spec first, later;
	struct mg_flow flow;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		scene_again(&node);
		first = scene_packet(POD_A, POD_B, family);
		first.proto = IPPROTO_UDP;
		first.sport = 4000;
		first.dport = 53;
		first.payload = 32;
		first.more_fragments = true;
		first.fragment_id = 77;
		later = first;
		later.fragment = 5;
		later.more_fragments = false;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &first, TO_PEER, MG_DROP_NONE);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &later, TO_PEER, MG_DROP_NONE);
		assert_int_equal(fixture_flow(&node, &first, &flow), 1);
		assert_int_equal(flow.packets + flow.back.packets, 2);
		later.fragment_id = 78;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &later, DROPPED, MG_DROP_FRAG_ORDER);
	}
}

static void run_wire(const struct wire *wire, struct fixture_out *out)
{
	struct fixture_run run = { .hook = MG_HOOK_FROM_POD,
				   .ifindex = MG_IFINDEX_BASE + SLOT_A,
				   .in = wire };

	fixture_run(&node, &run, out);
}

/* --- other matters ------------------------------------------------------------------------- */
static void test_chosen_and_other_index(void **state)
{
	struct fixture_run run = { .hook = MG_HOOK_FROM_POD, .ifindex = 77 };
	struct wire_spec spec = scene_packet(POD_A, POD_B, 4);
	struct mg_ep ep;
	struct fixture_out out;
	struct wire wire;
	__u32 slot = SLOT_A, key = 77;

	(void)state;
	scene_again(&node);
	fixture_device(77);
	spec.proto = IPPROTO_UDP;
	wire_make(&wire, &spec);
	run.in = &wire;
	fixture_run(&node, &run, &out);
	assert_int_equal(out.reason, MG_DROP_NO_ENDPOINT);
	fixture_put(&node, "mg_ep_if", &key, &slot);
	fixture_run(&node, &run, &out); /* the row says another device */
	assert_int_equal(out.reason, MG_DROP_NO_ENDPOINT);
	ep = fixture_ep(&node, SLOT_A);
	ep.ifindex = 77;
	fixture_put_at(&node, "mg_ep", SLOT_A, &ep);
	fixture_run(&node, &run, &out);
	assert_int_equal(out.code, TC_ACT_REDIRECT);
	fixture_del(&node, "mg_ep_if", &key);
}

static void test_drop_event(void **state)
{
	struct wire_spec spec = scene_packet(WORLD, POD_B, 4);
	struct mg_event event;
	struct fixture_out out;
	struct wire wire;

	(void)state;
	scene_again(&node);
	spec.proto = IPPROTO_UDP;
	spec.sport = 4000;
	spec.dport = 53;
	spec.payload = 100;
	wire_make(&wire, &spec);
	run_wire(&wire, &out);
	assert_int_equal(out.reason, MG_DROP_SPOOFED);
	assert_true(fixture_event(&node, &event));
	assert_int_equal(event.kind, MG_EVENT_DROP);
	assert_int_equal(event.reason, MG_DROP_SPOOFED);
	assert_int_equal(event.hook, MG_HOOK_FROM_POD);
	assert_int_equal(event.ifindex, MG_IFINDEX_BASE + SLOT_A);
	assert_memory_equal(&event.src, &spec.src, sizeof(spec.src));
	assert_int_equal(ntohs(event.dport), 53);
	assert_int_equal(event.length, wire.length);
	assert_int_equal(event.captured, MG_EVENT_BYTES);
	assert_memory_equal(event.data, wire.data, MG_EVENT_BYTES);
	assert_false(fixture_event(&node, &event));
	/* a flood is told in part and counted whole, told or not */
	for (int i = 0; i < 1000; i++)
		run_wire(&wire, &out);
	assert_int_equal(fixture_drops(&node, MG_HOOK_FROM_POD, MG_DROP_SPOOFED).packets, 1001);
	assert_true(fixture_drops(&node, MG_HOOK_FROM_POD, MG_DROP_NONE).packets > 0);
	assert_int_equal(fixture_drops(&node, MG_HOOK_FROM_POD, MG_DROP_SPOOFED).bytes,
			 1001 * wire.length);
}

/* A node that does not handle IPv6 lets none of a pod past its policy; the node's own is the
 * stack's affair. IPv4 goes on as ever. */
static void test_without_ipv6(void **state)
{
	struct wire_spec spec;

	(void)state;
	scene_again(&node);
	for (int off = 1; off >= 0; off--) {
		node.local.flags = off ? node.local.flags | MG_LOCAL_NO_IPV6
				       : node.local.flags & ~MG_LOCAL_NO_IPV6;
		fixture_local(&node);
		for (int family = 4; family <= 6; family += 2) {
			bool gone = off && family == 6;

			spec = scene_packet(POD_A, POD_B, family);
			spec.proto = IPPROTO_UDP;
			scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec,
				     gone ? DROPPED : TO_PEER,
				     gone ? MG_DROP_IPV6_OFF : MG_DROP_NONE);
			spec.src = place_addr(NODE_OWN, family);
			scene_expect(&node, MG_HOOK_TO_POD, SLOT_B, &spec, TO_STACK, MG_DROP_NONE);
		}
	}
	node.local.flags |= MG_LOCAL_NO_IPV6;
	fixture_local(&node);
	spec = scene_packet(POD_A, GATEWAY, 6);
	spec.proto = IPPROTO_ICMPV6;
	spec.icmp_type = 128;
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_IPV6_OFF);
	scene_again(&node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_last_hop),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_fragments_follow),
		cmocka_unit_test(test_chosen_and_other_index),
		cmocka_unit_test(test_drop_event),
		cmocka_unit_test(test_without_ipv6),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
