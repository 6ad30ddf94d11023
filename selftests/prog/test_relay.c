/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From tunnel to tunnel: a pod of node 3 has borrowed an address of node 2's block; node 1, which
 * does not know it yet, sends to node 2, and that one passes the packet on. What the three nodes'
 * programs put out is each other's input.
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

#define BORROWED POOL_FAR
#define NODE_THIRD WORLD

static struct fixture nodes[4]; /* by number, from 1 */
static const enum place address[4] = { [1] = NODE_OWN, [2] = NODE_FAR, [3] = NODE_THIRD };
static const __u32 modes[] = { [IPIP] = MG_ADDR_IPIP, [VXLAN] = MG_ADDR_VXLAN };

#define EACH_TUNNEL(tunnel, outer, inner)                                                          \
	for (enum tunnel tunnel = IPIP; tunnel <= VXLAN; tunnel++)                                 \
		for (int outer = 4; outer <= 6; outer += 2)                                        \
			for (int inner = 4; inner <= 6; inner += 2)

static int open_nodes(void **state)
{
	char root[PATH_MAX];

	(void)state;
	if (sandbox_enter(root))
		return -1;
	for (int i = 1; i <= 3; i++)
		scene_open(&nodes[i], NULL, 0);
	uplink_build();
	return 0;
}

static int close_nodes(void **state)
{
	(void)state;
	for (int i = 1; i <= 3; i++)
		fixture_close(&nodes[i]);
	return 0;
}

static void know(int number, enum place place, struct mg_ident ident)
{
	for (int family = 4; family <= 6; family += 2)
		fixture_ident(&nodes[number], place_text(place, family), ident);
}

static void forget(int number, enum place place)
{
	for (int family = 4; family <= 6; family += 2)
		fixture_del(&nodes[number], "mg_addrs",
			    &(union mg_addr[]){ place_addr(place, family) }[0]);
}

static void peers(int number, int outer)
{
	for (__u32 other = 1; other <= 3; other++) {
		const struct mg_way way = { .ifindex = UPLINK, .mtu = UPLINK_MTU };
		struct mg_peer peer = { .flags = MG_PEER_KNOWN,
					.vtep_mac = { 0x66, 0, 0, 0, 0, (__u8)other },
					.vtep_mac6 = { 0x66, 0, 0, 0, 0, (__u8)other } };

		if (outer == 4) {
			peer.ip4 = place_addr(address[other], 4);
			peer.way4 = way;
		} else {
			peer.ip6 = place_addr(address[other], 6);
			peer.way6 = way;
		}
		fixture_put_at(&nodes[number], "mg_peers", other, &peer);
		know(number, address[other],
		     (struct mg_ident){
			     .node = (__u16)other,
			     .flags = (__u16)(MG_ADDR_HOST |
					      ((int)other == number ? MG_ADDR_LOCAL : 0)) });
	}
}

/* The block of node 2, as each node has it. */
static void block(int number, __u16 mode)
{
	struct mg_ident ident = { .identity = MG_IDENT_UNKNOWN4,
				  .node = 2,
				  .flags = (__u16)(MG_ADDR_POOL | MG_ADDR_ANY_POOL | MG_ADDR_BLOCK |
						   mode | (number == 2 ? MG_ADDR_LOCAL : 0)) };

	fixture_net(&nodes[number], "10.65.0.64/26", ident);
	ident.identity = MG_IDENT_UNKNOWN6;
	fixture_net(&nodes[number], "fd00:65::1:40/122", ident);
}

static void scene_of(int number, __u16 mode, int outer)
{
	struct fixture *fx = &nodes[number];
	struct mg_ident pod = { .identity = IDENT_A,
				.flags = (__u16)(MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL |
						 mode) };

	uplink_again(fx, mode, outer);
	fx->local.node = (__u16)number;
	fx->local.ip4 = place_addr(address[number], 4);
	fx->local.ip6 = place_addr(address[number], 6);
	fx->local.vtep_mac[5] = (__u8)number;
	fixture_local(fx);
	peers(number, outer);
	block(number, mode);
	if (number != 1) {
		pod.node = 1;
		know(number, POD_A, pod);
		pod.node = 3;
		pod.identity = IDENT_FAR;
		know(number, BORROWED, pod);
	}
}

static void scene(enum tunnel tunnel, int outer)
{
	for (int i = 1; i <= 3; i++)
		scene_of(i, (__u16)modes[tunnel], outer);
	forget(1, BORROWED);
	fixture_pod(&nodes[3], SLOT_B, place_text(BORROWED, 4), place_text(BORROWED, 6), IDENT_FAR);
}

static struct wire_spec datagram(enum place dst, int inner)
{
	struct wire_spec spec = scene_packet(POD_A, dst, inner);

	spec.proto = IPPROTO_UDP;
	spec.sport = 4000;
	spec.dport = 53;
	spec.payload = 33;
	return spec;
}

/* From node 1's pod to node 2's uplink and through it. */
static void to_second(const struct wire_spec *spec, struct fixture_out *out)
{
	struct fixture_out first;

	scene_run(&nodes[1], MG_HOOK_FROM_POD, SLOT_A, spec, &first);
	expect_sent(&first);
	uplink_run(&nodes[2], MG_HOOK_FROM_NETDEV, &first.wire, 0, out);
}

/* The outer header on its way from node 2 to 3, around the packet that has come over two hops. */
static void expect_outer(const struct fixture_out *out, struct wire_spec spec, enum tunnel tunnel,
			 int outer)
{
	struct outer_spec around = uplink_outer(tunnel, outer, 0);
	size_t at = WIRE_ETH + (outer == 4 ? 20 : 40);
	struct wire inner, want;

	around.from = NODE_FAR;
	around.to = NODE_THIRD;
	around.from_mac[5] = 2;
	around.to_mac[5] = 3;
	around.sport = (unsigned short)(out->wire.data[at] << 8 | out->wire.data[at + 1]);
	spec.ttl = 62;
	wire_make(&inner, &spec);
	outer_make(&want, &around, &inner);
	if (outer == 6) /* the flow label is a hash's */
		memcpy(want.data + WIRE_ETH + 1, out->wire.data + WIRE_ETH + 1, 3);
	wire_expect(&out->wire, &want, "from the second node to the third");
}

static void test_chain(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = datagram(BORROWED, inner), seen;
		struct fixture_out out, last;

		scene(tunnel, outer);
		for (int i = 0; i < 2; i++) { /* new, known to the ends */
			to_second(&spec, &out);
			expect_sent(&out);
			expect_outer(&out, spec, tunnel, outer);
			uplink_run(&nodes[3], MG_HOOK_FROM_NETDEV, &out.wire, 0, &last);
			seen = spec;
			seen.ttl = 62;
			expect_delivery(&last, &seen, SLOT_B);
		}
	}
}

/* A kernel's device may put a checksum into VXLAN's UDP header: taken out and in again. */
static void test_outer_checksum(void **state)
{
	(void)state;
	for (int outer = 4; outer <= 6; outer += 2) {
		struct wire_spec spec = datagram(BORROWED, 4);
		struct fixture_out first, out;

		scene(VXLAN, outer);
		scene_run(&nodes[1], MG_HOOK_FROM_POD, SLOT_A, &spec, &first);
		first.wire.data[WIRE_ETH + (outer == 4 ? 20 : 40) + 7] = 1;
		uplink_run(&nodes[2], MG_HOOK_FROM_NETDEV, &first.wire, 0, &out);
		expect_sent(&out);
		expect_outer(&out, spec, VXLAN, outer);
	}
}

/* A node passes on for its own block alone, and not back to where a packet came from. */
static void test_not_passed_on(void **state)
{
	struct mg_ident pod = { .identity = IDENT_FAR,
				.node = 3,
				.flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL };
	struct wire_spec spec;
	struct fixture_out out;

	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		spec = datagram(BORROWED, inner);
		scene(tunnel, outer);
		pod.node = 1;
		know(2, BORROWED, pod);
		to_second(&spec, &out);
		expect_drop(&out, MG_DROP_NO_ROUTE);
		forget(2, BORROWED);
		to_second(&spec, &out);
		expect_drop(&out, MG_DROP_BLACKHOLE);

		pod.node = 3;
		know(2, BORROWED, pod);
		block(2, (__u16)modes[tunnel]);
		fixture_net(&nodes[2], inner == 4 ? "10.65.0.64/26" : "fd00:65::1:40/122",
			    (struct mg_ident){ .node = 3, .flags = MG_ADDR_BLOCK | MG_ADDR_POOL });
		to_second(&spec, &out);
		expect_drop(&out, MG_DROP_NO_ROUTE);
	}
}

/* The receiver takes another node's pod from the block's node only. */
static void test_not_believed(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = datagram(BORROWED, inner);
		struct fixture_out out, last;

		scene(tunnel, outer);
		to_second(&spec, &out);
		fixture_net(&nodes[3], inner == 4 ? "10.65.0.64/26" : "fd00:65::1:40/122",
			    (struct mg_ident){ .node = 1, .flags = MG_ADDR_BLOCK | MG_ADDR_POOL });
		uplink_run(&nodes[3], MG_HOOK_FROM_NETDEV, &out.wire, 0, &last);
		expect_drop(&last, MG_DROP_TUNNEL_SPOOF);
	}
}

static void test_hop_limit(void **state)
{
	(void)state;
	EACH_TUNNEL(tunnel, outer, inner)
	{
		struct wire_spec spec = datagram(BORROWED, inner);
		struct fixture_out out;

		scene(tunnel, outer);
		spec.ttl = 2;
		to_second(&spec, &out);
		expect_drop(&out, MG_DROP_TTL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),	      cmocka_unit_test(test_outer_checksum),
		cmocka_unit_test(test_not_passed_on), cmocka_unit_test(test_not_believed),
		cmocka_unit_test(test_hop_limit),
	};

	return cmocka_run_group_tests(tests, open_nodes, close_nodes);
}
