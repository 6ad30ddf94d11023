/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services for clients from outside, at the uplink: to a pod of this node and back, refusals, whose
 * policy judges whom, and what is left alone. Sources: docs/services.md, Kubernetes' Service API
 * (NodePort, externalIPs, externalTrafficPolicy, loadBalancerSourceRanges).
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

#include "selftests/lib/host.h"
#include "selftests/lib/service_far.h"

static void test_there_and_back(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	EACH_FAR_ADDRESS(address)
	{
		struct wire_spec spec = comes_for(proto, family, address), there, back, home;

		uplink_again(&node, 0, 4);
		serve_far(&spec, POD_B);
		there = translated(&spec, place_addr(POD_B, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		enters(&spec, &there, SLOT_B);
		leaves(SLOT_B, &back, &home);
		/* known both ways, whatever the service has become meanwhile */
		serve_far(&spec, POD_A);
		spec.tcp_flags = there.tcp_flags = proto == IPPROTO_TCP ? WIRE_ACK : 0;
		back.tcp_flags = home.tcp_flags = spec.tcp_flags;
		enters(&spec, &there, SLOT_B);
		leaves(SLOT_B, &back, &home);
		/* and after a change they are judged again, and go on */
		fixture_touch(&node, place_text(POD_B, family));
		enters(&spec, &there, SLOT_B);
		fixture_touch(&node, place_text(POD_B, family));
		leaves(SLOT_B, &back, &home);
	}
}

/* Another node that asks: natively there and back, by all endpoints also under policy Local. */
static void test_node_asks(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = comes_for(proto, family, NODE_PORT), there, back, home;

		uplink_again(&node, MG_ADDR_IPIP, 0);
		spec.src = place_addr(NODE_FAR, family);
		serve_far(&spec, POD_A);
		serve_near(&spec, POD_B);
		there = translated(&spec, place_addr(POD_B, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		for (int i = 0; i < 2; i++) {
			enters(&spec, &there, SLOT_B);
			leaves(SLOT_B, &back, &home);
			fixture_touch(&node, place_text(POD_B, family));
		}
	}
}

/* --- refusals ----------------------------------------------------------------------------- */

static void expect_refused(const struct wire_spec *spec, const struct wire_spec *want)
{
	struct fixture_out out;
	struct wire wire;

	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, spec, &out);
	assert_int_equal(out.code, TC_ACT_REDIRECT);
	assert_int_equal(out.reason, MG_DROP_NO_BACKEND);
	wire_make(&wire, want);
	wire_expect(&out.wire, &wire, "refusal");
}

static struct wire_spec refusal(const struct wire_spec *spec, int family, struct wire *about)
{
	struct wire_spec want = scene_answer(spec);

	if (spec->proto == IPPROTO_TCP) {
		want.tcp_flags = WIRE_RST | WIRE_ACK;
		want.ack = 1 + spec->payload;
		want.no_window = true;
		want.dont_fragment = true;
		want.payload = 0;
	} else {
		wire_make(about, spec);
		about->length -= (about->length - WIRE_ETH) % 4;
		want = (struct wire_spec){ .src = place_addr(NODE_OWN, family),
					   .dst = spec->src,
					   .proto = IPPROTO_ICMP,
					   .icmp_type = family == 4 ? 3 : 1,
					   .icmp_code = family == 4 ? 3 : 4,
					   .tos = family == 4 ? 0xc0 : 0,
					   .quote = about };
	}
	memcpy(want.to, spec->from, 6);
	memcpy(want.from, spec->to, 6);
	return want;
}

static void test_no_backend(void **state)
{
	(void)state;
	EACH_PROTOCOL(proto, family)
	EACH_FAR_ADDRESS(address)
	{
		struct wire_spec spec = comes_for(proto, family, address), want;
		struct wire about;

		uplink_again(&node, 0, 4);
		front_far(&spec, (struct mg_front){ .set = SET });
		want = refusal(&spec, family, &about);
		expect_refused(&spec, &want);
		/* other nodes have some: silence */
		front_far(&spec, (struct mg_front){ .set = SET, .flags = MG_FRONT_SILENT });
		expect_in(&spec, MG_DROP_NO_LOCAL_BACKEND);
	}
}

static void test_source_ranges(void **state)
{
	static const char *const nets[] = { "203.0.113.0/24", "2001:db8::/64" };

	(void)state;
	EACH_PROTOCOL(proto, family)
	{
		struct wire_spec spec = comes_for(proto, family, EXTERNAL), there;

		uplink_again(&node, 0, 4);
		serve_far(&spec, POD_B);
		front_far(&spec,
			  (struct mg_front){ .set = SET, .count = 1, .flags = MG_FRONT_SOURCES });
		expect_in(&spec, MG_DROP_SOURCE_RANGE);
		fixture_range(&node, SET, nets[family == 6]);
		there = translated(&spec, place_addr(POD_B, family));
		enters(&spec, &there, SLOT_B);
	}
}

/* --- policy ------------------------------------------------------------------------------- */

/* The backend's judges the client itself, also when it changes. */
static void test_policy(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_UDP, 4, NODE_PORT), there;
	__u32 deny, allow, set;

	(void)state;
	uplink_again(&node, 0, 4);
	serve_far(&spec, POD_B);
	there = translated(&spec, place_addr(POD_B, 4));
	deny = fixture_class(&node, &(struct mg_class){ .verdict = MG_VERDICT_DROP });
	allow = fixture_class(
		&node,
		&(struct mg_class){
			.l4[MG_L4_UDP] = fixture_table(
				&node, (struct fixture_entry[]){ { BPORT, MG_VERDICT_ALLOW + 1 } },
				1) });
	set = fixture_set(&node,
			  (struct fixture_entry[]){ { MG_IDENT_WORLD4, allow }, { IDENT_B, deny } },
			  2);
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, set);
	enters(&spec, &there, SLOT_B);
	fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	fixture_commit(&node, (struct mg_commit){ .column = 1 });
	expect_in(&spec, MG_DROP_POLICY_INGRESS);
	assert_int_equal(fixture_flow(&node, &spec, &(struct mg_flow){ 0 }), 0);
	expect_in(&spec, MG_DROP_POLICY_INGRESS);
	fixture_assign(&node, SLOT_B, 1, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
}

/* preDNAT policies know the service's port, also when a flow is judged again; the others the
 * backend's. */
static void test_host_endpoint(void **state)
{
	(void)state;
	EACH_FAMILY(family)
	{
		struct wire_spec spec = comes_for(IPPROTO_TCP, family, EXTERNAL), there, back, home;

		host_again();
		serve_far(&spec, POD_B);
		there = translated(&spec, place_addr(POD_B, family));
		back = scene_answer(&there);
		home = scene_answer(&spec);
		host_judge(SLOT_ETH, MG_STAGE_FORWARD_IN, host_port_80(MG_VERDICT_DROP));
		expect_in(&spec, MG_DROP_HOST_INGRESS);
		host_judge(SLOT_ETH, MG_STAGE_PREDNAT, host_port_80(MG_VERDICT_DROP));
		enters(&spec, &there, SLOT_B);
		leaves(SLOT_B, &back, &home);
		for (int i = 0; i < 2; i++) {
			fixture_touch(&node, place_text(POD_B, family));
			if (i)
				leaves(SLOT_B, &back, &home);
			enters(&spec, &there, SLOT_B);
		}
		host_judge(SLOT_ETH, MG_STAGE_PREDNAT, MG_SET_DROP_ALL);
		host_changed();
		expect_in(&spec, MG_DROP_HOST_INGRESS);
	}
}

/* A local pod's address comes from no uplink. */
static void test_claimed(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_UDP, 4, EXTERNAL);

	(void)state;
	uplink_again(&node, 0, 4);
	serve_far(&spec, POD_B);
	spec.src = place_addr(POD_A, 4);
	expect_in(&spec, MG_DROP_LOCAL_CLAIMED);
}

/* --- what is left alone ------------------------------------------------------------------- */

static void expect_untouched(const struct wire_spec *spec)
{
	struct fixture_out out;
	struct wire wire;

	wire_make(&wire, spec);
	uplink_run(&node, MG_HOOK_FROM_NETDEV, &wire, 0, &out);
	expect_passed(&out, &wire);
}

static void test_untouched(void **state)
{
	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		struct wire_spec spec = comes_for(IPPROTO_TCP, family, NODE_PORT);

		uplink_again(&node, 0, 4);
		serve_far(&spec, POD_B);
		/* another port, another protocol */
		spec.dport++;
		expect_untouched(&spec);
		spec = comes_for(IPPROTO_UDP, family, NODE_PORT);
		expect_untouched(&spec);
		/* a connection of the host's own that happens to have the port */
		spec = comes_for(IPPROTO_TCP, family, NODE_PORT);
		spec.tcp_flags = WIRE_SYN | WIRE_ACK;
		expect_untouched(&spec);
		/* at an address that is no node's */
		spec = comes_for(IPPROTO_TCP, family, EXTERNAL);
		spec.dport = (unsigned short)(NODE_PORT_NUMBER);
		expect_untouched(&spec);
		/* a cluster address */
		spec = comes_for(IPPROTO_TCP, family, EXTERNAL);
		serve_near(&spec, POD_B);
		expect_untouched(&spec);
		/* in midstream there is nobody who knows where it went */
		serve_far(&spec, POD_B);
		spec.tcp_flags = WIRE_ACK;
		expect_in(&spec, MG_DROP_NO_FLOW);
	}
}

/* What stands behind a node's own address and port is a socket: nothing to translate. */
static void test_own_socket(void **state)
{
	struct wire_spec spec = comes_for(IPPROTO_TCP, 4, EXTERNAL);
	union mg_addr own = place_addr(NODE_OWN, 4);

	(void)state;
	uplink_again(&node, 0, 4);
	spec.dst = own;
	spec.dport = BPORT;
	fixture_front_far(&node, &own, BPORT, IPPROTO_TCP,
			  (struct mg_front){ .set = SET, .count = 1 });
	fixture_back(&node, SET, 0, &own, BPORT, false);
	expect_untouched(&spec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_node_asks),
		cmocka_unit_test(test_no_backend),     cmocka_unit_test(test_source_ranges),
		cmocka_unit_test(test_policy),	       cmocka_unit_test(test_host_endpoint),
		cmocka_unit_test(test_claimed),	       cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_own_socket),
	};

	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
