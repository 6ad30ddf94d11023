/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which frontend a pod's packet meets: node ports at nodes' addresses, external addresses, those
 * for other clients, and who is let in. Sources: docs/services.md, Kubernetes' Service API.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "selftests/lib/service.h"

#define NODE_PORT 30080

static union mg_addr any(int family)
{
	return fixture_addr(family == 4 ? "0.0.0.0" : "::");
}

/* A port at nodes' addresses in front of pod B. */
static void serve_flagged(unsigned char proto, int family, __u32 flags)
{
	union mg_addr front = any(family), addr = place_addr(POD_B, family);

	fixture_front(&node, &front, NODE_PORT, proto,
		      (struct mg_front){ .set = SET, .count = 1, .flags = flags });
	fixture_back(&node, SET, 0, &addr, BPORT, false);
}

static void serve_node_port(unsigned char proto, int family)
{
	serve_flagged(proto, family, 0);
}

static struct wire_spec asks_node(unsigned char proto, enum place place, int family)
{
	struct wire_spec spec = asks(proto, family);

	spec.dst = place_addr(place, family);
	spec.dport = NODE_PORT;
	return spec;
}

/* At every node's address, for pods: their own node's and others'. */
static void test_node_port(void **state)
{
	static const enum place nodes[] = { NODE_OWN, NODE_FAR };

	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		for (size_t i = 0; i < 2; i++) {
			struct wire_spec spec = asks_node(proto, nodes[i], family);
			struct wire_spec there = translated(&spec, place_addr(POD_B, family));
			struct wire_spec back = scene_answer(&there), home = scene_answer(&spec);

			uplink_again(&node, MG_ADDR_IPIP, 4);
			serve_node_port(proto, family);
			delivers(SLOT_A, &spec, &there, SLOT_B);
			delivers(SLOT_B, &back, &home, SLOT_A);
		}
	}
}

static void expect_no_service(const struct wire_spec *spec)
{
	struct fixture_out out;

	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &out);
	assert_null(fixture_step(&out, MG_STEP_SERVICE));
	assert_int_equal(out.drops, 0);
}

/* At nobody else's, and no other port. */
static void test_node_port_elsewhere(void **state)
{
	struct wire_spec spec;

	(void)state;
	uplink_again(&node, 0, 4);
	serve_node_port(IPPROTO_UDP, 4);
	spec = asks_node(IPPROTO_UDP, WORLD, 4);
	expect_no_service(&spec);
	spec = asks_node(IPPROTO_UDP, POD_B, 4);
	expect_no_service(&spec);
	spec = asks_node(IPPROTO_UDP, NODE_OWN, 4);
	spec.dport++;
	expect_no_service(&spec);
	spec = asks_node(IPPROTO_TCP, NODE_OWN, 4);
	expect_no_service(&spec);
	spec = asks_node(IPPROTO_UDP, NODE_OWN, 6);
	expect_no_service(&spec);
}

/* A host port: at this node's addresses, and not at another's. */
static void test_host_port(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks_node(proto, NODE_OWN, family);
		struct wire_spec there = translated(&spec, place_addr(POD_B, family));
		struct wire_spec back = scene_answer(&there), home = scene_answer(&spec);

		uplink_again(&node, MG_ADDR_IPIP, 4);
		serve_flagged(proto, family, MG_FRONT_OWN);
		delivers(SLOT_A, &spec, &there, SLOT_B);
		delivers(SLOT_B, &back, &home, SLOT_A);
		spec = asks_node(proto, NODE_FAR, family);
		expect_no_service(&spec);
	}
}

/* Not at an address that nodePortAddresses leaves out; a host port holds there all the same. */
static void test_portless(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		const struct mg_ident ident = { .flags = MG_ADDR_HOST | MG_ADDR_LOCAL |
							 MG_ADDR_PORTLESS };
		struct wire_spec spec = asks_node(proto, NODE_OWN, family);
		struct wire_spec there = translated(&spec, place_addr(POD_B, family));
		union mg_addr own = place_addr(NODE_OWN, family);

		uplink_again(&node, 0, 4);
		fixture_put(&node, "mg_addrs", &own, &ident);
		serve_node_port(proto, family);
		expect_no_service(&spec);
		uplink_again(&node, 0, 4);
		fixture_put(&node, "mg_addrs", &own, &ident);
		serve_flagged(proto, family, MG_FRONT_OWN);
		delivers(SLOT_A, &spec, &there, SLOT_B);
	}
}

/* An external address with the same port goes before the node port. */
static void test_exact_first(void **state)
{
	struct wire_spec spec = asks_node(IPPROTO_UDP, NODE_OWN, 4), there;
	union mg_addr own = place_addr(NODE_OWN, 4), queue = place_addr(POD_QUEUE, 4);

	(void)state;
	scene_again(&node);
	serve_node_port(IPPROTO_UDP, 4);
	fixture_front(&node, &own, NODE_PORT, IPPROTO_UDP,
		      (struct mg_front){ .set = SET + 1, .count = 1 });
	fixture_back(&node, SET + 1, 0, &queue, BPORT, false);
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, TO_DEVICE, MG_DROP_NONE);
	there = translated(&spec, queue);
	there = scene_answer(&there);
	assert_int_equal(fixture_flow(&node, &there, &(struct mg_flow){ 0 }), 1);
}

/* What stands for clients from outside concerns no pod. */
static void test_far_alone(void **state)
{
	struct wire_spec spec = asks(IPPROTO_UDP, 4);
	union mg_addr front = vip(0, 4), addr = place_addr(POD_B, 4);

	(void)state;
	uplink_again(&node, 0, 4);
	fixture_front_far(&node, &front, VPORT, IPPROTO_UDP,
			  (struct mg_front){ .set = SET, .count = 1 });
	fixture_back(&node, SET, 0, &addr, BPORT, false);
	expect_no_service(&spec);
}

/* loadBalancerSourceRanges: an address of a range, and nobody else; not where nobody asks. */
static void test_source_ranges(void **state)
{
	static const char *const inside[] = { "10.65.0.0/29", "fd00:65::/125" };
	static const char *const beside[] = { "10.65.0.2/32", "fd00:65::2/128" };

	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = asks(proto, family);
		struct wire_spec there = translated(&spec, place_addr(POD_B, family));
		union mg_addr front = vip(0, family);

		scene_again(&node);
		serve(proto, family, POD_B);
		fixture_range(&node, SET, beside[family == 6]);
		delivers(SLOT_A, &spec, &there, SLOT_B);
		scene_again(&node);
		fixture_front(
			&node, &front, VPORT, proto,
			(struct mg_front){ .set = SET, .count = 1, .flags = MG_FRONT_SOURCES });
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_SOURCE_RANGE);
		fixture_range(&node, SET + 1, inside[family == 6]); /* of another set */
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &spec, DROPPED, MG_DROP_SOURCE_RANGE);
		fixture_range(&node, SET, inside[family == 6]);
		delivers(SLOT_A, &spec, &there, SLOT_B);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_port),     cmocka_unit_test(test_node_port_elsewhere),
		cmocka_unit_test(test_exact_first),   cmocka_unit_test(test_far_alone),
		cmocka_unit_test(test_source_ranges), cmocka_unit_test(test_host_port),
		cmocka_unit_test(test_portless),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
