/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of flows (design section 5): one row for both directions, TCP's states, promotion to
 * the established table and back, expiry, what needs a row and what makes one. Time is moved by
 * moving the rows' ticks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/scene.h"

#define TICKS(seconds) ((__u32)((seconds) * (1000000000ULL >> 20)))
#define TRANSIENT 1
#define ESTABLISHED 2
#define ROWS 4 /* of the established table */

static int open_node(void **state)
{
	(void)state;
	return scene_setup_with(NULL, ROWS);
}

/* Pods A and B of a node and what they say to each other. */
struct talk {
	struct wire_spec ab;
	struct wire_spec ba;
};

static struct talk talk(int family, int proto)
{
	struct talk t = { scene_packet(POD_A, POD_B, family), scene_packet(POD_B, POD_A, family) };

	t.ab.proto = t.ba.proto = (unsigned char)proto;
	t.ab.sport = t.ba.dport = 40000;
	t.ab.dport = t.ba.sport = 80;
	t.ab.icmp_id = t.ba.icmp_id = 4711;
	t.ab.icmp_type = family == 4 ? 8 : 128;
	t.ba.icmp_type = family == 4 ? 0 : 129;
	scene_again(&node);
	return t;
}

/* One TCP segment, from A or back, that passes. */
static void passes(struct talk *t, bool back, unsigned char flags)
{
	struct wire_spec *spec = back ? &t->ba : &t->ab;

	spec->tcp_flags = flags;
	scene_expect(&node, MG_HOOK_FROM_POD, back ? SLOT_B : SLOT_A, spec, TO_PEER, MG_DROP_NONE);
}

static void refused(struct talk *t, bool back, unsigned char flags, enum mg_reason reason)
{
	struct wire_spec *spec = back ? &t->ba : &t->ab;

	spec->tcp_flags = flags;
	scene_expect(&node, MG_HOOK_FROM_POD, back ? SLOT_B : SLOT_A, spec, DROPPED, reason);
}

static struct mg_flow row_in(const struct talk *t, int table)
{
	struct mg_flow flow = { 0 };
	int found = fixture_flow(&node, &t->ab, &flow);

	if (found != table)
		fail_msg("row in table %d, not %d", found, table);
	return flow;
}

static void age(const struct talk *t, __u32 ticks)
{
	struct mg_flow flow;

	assert_true(fixture_flow(&node, &t->ab, &flow) > 0);
	flow.seen -= ticks;
	fixture_flow_put(&node, &t->ab, &flow);
}

static void handshake(struct talk *t)
{
	passes(t, false, WIRE_SYN);
	passes(t, true, WIRE_SYN | WIRE_ACK);
	passes(t, false, WIRE_ACK);
}

/* --- TCP ----------------------------------------------------------------------------------- */
static void test_handshake(void **state)
{
	struct mg_flow flow;
	struct talk t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		t = talk(family, IPPROTO_TCP);
		passes(&t, false, WIRE_SYN);
		flow = row_in(&t, TRANSIENT);
		assert_int_equal(flow.state, MG_TCP_SYN);
		assert_int_equal(flow.flags & MG_FLOW_FROM_B, 0); /* A's address is below B's */
		passes(&t, false, WIRE_SYN);			  /* once more */
		passes(&t, true, WIRE_SYN | WIRE_ACK);
		assert_int_equal(row_in(&t, TRANSIENT).state, MG_TCP_SYN | MG_TCP_SYNACK);
		passes(&t, false, WIRE_ACK);
		flow = row_in(&t, ESTABLISHED);
		assert_true(flow.state & MG_TCP_ESTABLISHED);
		passes(&t, true, WIRE_ACK);
		flow = row_in(&t, ESTABLISHED);
		assert_int_equal(flow.packets, 3);
		assert_int_equal(flow.back.packets, 2);
		assert_int_equal(flow.bytes, 3 * (family == 4 ? 40 : 60));
	}
}

static void test_opened_by_b(void **state)
{
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	passes(&t, true, WIRE_SYN);
	assert_true(row_in(&t, TRANSIENT).flags & MG_FLOW_FROM_B);
	passes(&t, false, WIRE_SYN | WIRE_ACK);
	passes(&t, true, WIRE_ACK);
	row_in(&t, ESTABLISHED);
}

static void test_fin_both_ways(void **state)
{
	struct talk t;

	(void)state;
	t = talk(6, IPPROTO_TCP);
	handshake(&t);
	passes(&t, false, WIRE_FIN | WIRE_ACK);
	assert_true(row_in(&t, ESTABLISHED).state & MG_TCP_FIN0);
	passes(&t, true, WIRE_ACK); /* half closed: data may go on */
	row_in(&t, ESTABLISHED);
	passes(&t, true, WIRE_FIN | WIRE_ACK);
	row_in(&t, TRANSIENT);
	passes(&t, false, WIRE_ACK);
	row_in(&t, TRANSIENT);
	/* a short life */
	age(&t, node.local.timeout[MG_TMO_TCP_FIN] + TICKS(1));
	refused(&t, false, WIRE_ACK, MG_DROP_NO_FLOW);
	assert_int_equal(fixture_flow(&node, &t.ab, &(struct mg_flow){ 0 }), 0);
}

static void test_reset(void **state)
{
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	handshake(&t);
	passes(&t, true, WIRE_RST);
	assert_true(row_in(&t, TRANSIENT).state & MG_TCP_RST);
	age(&t, node.local.timeout[MG_TMO_TCP_RST] + TICKS(1));
	refused(&t, true, WIRE_RST, MG_DROP_NO_FLOW);
}

static void test_again_after_close(void **state)
{
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	handshake(&t);
	passes(&t, false, WIRE_RST);
	passes(&t, false, WIRE_SYN);
	assert_int_equal(row_in(&t, TRANSIENT).state, MG_TCP_SYN);
	/* in the other direction, after FIN both ways */
	passes(&t, true, WIRE_SYN | WIRE_ACK);
	passes(&t, false, WIRE_ACK);
	passes(&t, false, WIRE_FIN | WIRE_ACK);
	passes(&t, true, WIRE_FIN | WIRE_ACK);
	passes(&t, true, WIRE_SYN);
	assert_true(row_in(&t, TRANSIENT).flags & MG_FLOW_FROM_B);
}

/* Nobody allowed B to open connections to A because A opened one to B. */
static void test_syn_against_opener(void **state)
{
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	handshake(&t);
	refused(&t, true, WIRE_SYN, MG_DROP_POLICY_INGRESS);
	row_in(&t, ESTABLISHED); /* and A's connection lives on */
	passes(&t, true, WIRE_ACK);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	passes(&t, true, WIRE_SYN);
	assert_true(row_in(&t, TRANSIENT).flags & MG_FLOW_FROM_B);
}

static void test_no_flow(void **state)
{
	static const unsigned char flags[] = { WIRE_ACK, WIRE_SYN | WIRE_ACK, WIRE_FIN | WIRE_ACK,
					       WIRE_RST, 0 };
	struct talk t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		t = talk(family, IPPROTO_TCP);
		for (size_t i = 0; i < sizeof(flags); i++)
			refused(&t, false, flags[i], MG_DROP_NO_FLOW);
		assert_int_equal(fixture_flow(&node, &t.ab, &(struct mg_flow){ 0 }), 0);
	}
}

/* After the tables were created anew, segments of connections from before may pass where policy
 * allows the connection, in one of the two directions. */
static void test_midstream(void **state)
{
	struct mg_flow flow;
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	node.local.flags |= MG_LOCAL_FLOWS_NEW;
	node.local.flows_new_until = fixture_boot_time() + 60000000000ULL;
	fixture_local(&node);
	passes(&t, false, WIRE_ACK);
	assert_true(row_in(&t, TRANSIENT).state & MG_TCP_ESTABLISHED);
	passes(&t, false, WIRE_ACK);
	row_in(&t, ESTABLISHED);
	/* B's answer to A, where only A may open connections to B */
	fixture_forget(&node);
	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	passes(&t, true, WIRE_ACK);
	flow = row_in(&t, TRANSIENT);
	assert_int_equal(flow.flags & MG_FLOW_FROM_B, 0);
	assert_int_equal(flow.side[0].judged.set, MG_SET_ALLOW_ALL);
	/* neither way */
	fixture_forget(&node);
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_DROP_ALL);
	refused(&t, true, WIRE_ACK, MG_DROP_NO_FLOW);
	refused(&t, false, WIRE_RST, MG_DROP_NO_FLOW);
	/* when the time is over */
	fixture_assign(&node, SLOT_B, 0, MG_STAGE_WORKLOAD_IN, MG_SET_ALLOW_ALL);
	node.local.flows_new_until = fixture_boot_time() - 1;
	fixture_local(&node);
	refused(&t, false, WIRE_ACK, MG_DROP_NO_FLOW);
}

/* One direction only passes this node (asymmetric routes). */
static void test_one_way(void **state)
{
	struct mg_flow flow;
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	passes(&t, false, WIRE_SYN);
	for (int i = 0; i < 15; i++)
		passes(&t, false, WIRE_ACK);
	row_in(&t, TRANSIENT);
	passes(&t, false, WIRE_ACK); /* the sixteenth after the SYN */
	row_in(&t, ESTABLISHED);

	t = talk(6, IPPROTO_TCP);
	passes(&t, false, WIRE_SYN);
	passes(&t, false, WIRE_ACK);
	flow = row_in(&t, TRANSIENT);
	flow.both -= 2; /* a second of ACKs */
	fixture_flow_put(&node, &t.ab, &flow);
	passes(&t, false, WIRE_ACK);
	row_in(&t, ESTABLISHED);
}

/* --- others -------------------------------------------------------------------------------- */
static void test_both_ways(void **state)
{
	static const int protos[] = { IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_GRE, IPPROTO_ICMP };
	struct mg_flow flow;
	struct talk t;

	(void)state;
	for (int i = 0; i < 8; i++) {
		t = talk(i & 1 ? 6 : 4, protos[i / 2]);
		passes(&t, false, 0);
		passes(&t, false, 0);
		assert_int_equal(row_in(&t, TRANSIENT).flags & MG_FLOW_BOTH_SEEN, 0);
		passes(&t, true, 0); /* question and answer stay in the transient table */
		flow = row_in(&t, TRANSIENT);
		assert_true(flow.flags & MG_FLOW_BOTH_SEEN);
		flow.both -= 3;
		fixture_flow_put(&node, &t.ab, &flow);
		passes(&t, false, 0);
		flow = row_in(&t, TRANSIENT);
		flow.both -= 1; /* two seconds */
		fixture_flow_put(&node, &t.ab, &flow);
		passes(&t, false, 0);
		flow = row_in(&t, ESTABLISHED);
		assert_int_equal(flow.packets + flow.back.packets, 5);
		passes(&t, true, 0);
		row_in(&t, ESTABLISHED);
	}
}

static void test_expiry(void **state)
{
	static const struct {
		int proto;
		enum mg_timeout timeout;
	} cases[] = {
		{ IPPROTO_UDP, MG_TMO_UDP },
		{ IPPROTO_ICMP, MG_TMO_ICMP },
		{ IPPROTO_GRE, MG_TMO_GENERIC },
		{ IPPROTO_TCP, MG_TMO_TCP_SYN },
	};
	struct talk t;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		t = talk(i & 1 ? 6 : 4, cases[i].proto);
		passes(&t, false, WIRE_SYN);
		age(&t, node.local.timeout[cases[i].timeout] - TICKS(1));
		passes(&t, false, WIRE_SYN);
		assert_int_equal(row_in(&t, TRANSIENT).packets, 2);
		age(&t, node.local.timeout[cases[i].timeout] + TICKS(1));
		passes(&t, false, WIRE_SYN); /* a new flow */
		assert_int_equal(row_in(&t, TRANSIENT).packets, 1);
	}
	t = talk(4, IPPROTO_TCP);
	handshake(&t);
	age(&t, node.local.timeout[MG_TMO_TCP_ESTABLISHED] + TICKS(1));
	refused(&t, false, WIRE_ACK, MG_DROP_NO_FLOW);
}

/* A full established table promotes nobody, and loses nobody. */
static void test_full_table(void **state)
{
	struct talk t;

	(void)state;
	t = talk(4, IPPROTO_TCP);
	for (unsigned short port = 1; port <= ROWS; port++) {
		t.ab.sport = t.ba.dport = port;
		handshake(&t);
		row_in(&t, ESTABLISHED);
	}
	t.ab.sport = t.ba.dport = ROWS + 1;
	handshake(&t);
	row_in(&t, TRANSIENT);
	passes(&t, true, WIRE_ACK);
	t.ab.sport = t.ba.dport = 1;
	passes(&t, true, WIRE_RST);
	t.ab.sport = t.ba.dport = ROWS + 1; /* there is room again */
	passes(&t, false, WIRE_ACK);
	row_in(&t, ESTABLISHED);
}

/* An answer finds the way back without looking up addresses: the row keeps the slots. */
static void test_ways(void **state)
{
	struct mg_flow flow;
	union mg_addr b;
	struct talk t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		t = talk(family, IPPROTO_UDP);
		passes(&t, false, 0);
		assert_int_equal(row_in(&t, TRANSIENT).way[0], SLOT_B);
		passes(&t, true, 0);
		flow = row_in(&t, TRANSIENT);
		assert_int_equal(flow.way[1], SLOT_A);
		b = place_addr(POD_B, family);
		fixture_del(&node, "mg_addrs", &b);
		passes(&t, false, 0);
		/* slot B is given to another pod: its packets do not go there */
		fixture_pod(&node, SLOT_B, "10.65.0.9", "fd00:65::9", IDENT_B);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &t.ab, DROPPED, MG_DROP_BLACKHOLE);
	}
}

/* Most packets are of a flow of which nothing has to be found out. What its ends are at that moment
 * counts all the same. */
static void test_settled(void **state)
{
	struct mg_flow flow;
	struct talk t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		t = talk(family, IPPROTO_TCP);
		handshake(&t);
		fixture_ep_flags(&node, SLOT_B, MG_EP_READY | MG_EP_NO_PEER);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &t.ab, TO_DEVICE, MG_DROP_NONE);
		fixture_ep_flags(&node, SLOT_B, 0);
		refused(&t, false, WIRE_ACK, MG_DROP_NOT_READY);
		fixture_ep_flags(&node, SLOT_B, MG_EP_READY);
		fixture_ep_flags(&node, SLOT_A, MG_EP_READY | MG_EP_THROUGH_STACK);
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &t.ab, TO_STACK, MG_DROP_NONE);
		fixture_ep_flags(&node, SLOT_A, MG_EP_READY);
		t.ab.ttl = 1;
		scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, &t.ab, TO_SENDER, MG_DROP_TTL);
		t.ab.ttl = 64;
		passes(&t, true, WIRE_ACK);
		flow = row_in(&t, ESTABLISHED);
		assert_int_equal(flow.packets, 6);
		assert_int_equal(flow.back.packets, 2);
	}
}

/* A bundle that the kernel cuts later is as many packets as will be on the wire. */
static void test_bundle(void **state)
{
	struct fixture_run run = { .hook = MG_HOOK_FROM_POD,
				   .ifindex = MG_IFINDEX_BASE + SLOT_A,
				   .segments = 5 };
	struct fixture_out out;
	struct wire wire;
	struct mg_flow flow;
	struct talk t;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		t = talk(family, IPPROTO_UDP);
		t.ab.payload = 200;
		wire_make(&wire, &t.ab);
		run.in = &wire;
		for (int i = 1; i <= 2; i++) { /* the one that makes the row, one that finds it */
			fixture_run(&node, &run, &out);
			assert_int_equal(out.reason, MG_DROP_NONE);
			flow = row_in(&t, TRANSIENT);
			assert_int_equal(flow.packets, 5 * i);
			assert_int_equal(flow.bytes, i * ((family == 4 ? 20 : 40) + 8 + 200));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),
		cmocka_unit_test(test_opened_by_b),
		cmocka_unit_test(test_fin_both_ways),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_again_after_close),
		cmocka_unit_test(test_syn_against_opener),
		cmocka_unit_test(test_no_flow),
		cmocka_unit_test(test_midstream),
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_settled),
		cmocka_unit_test(test_bundle),
	};

	return cmocka_run_group_tests(tests, open_node, scene_teardown);
}
