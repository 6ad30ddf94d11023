/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep (bpf/sweep.bpf.c): which flows it ends, both rows of a translated one, and that their
 * counts go to the rules. Rows are put into the tables as the packet path makes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "abi/node.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/sweep.h"
#include "selftests/lib/sandbox.h"

#define LIFE 100 /* ticks, of every kind of flow */
#define RULE_OUT 5
#define RULE_IN 6
#define RULE_STAGED 7

static struct dp *dp;
static struct dp_sweep *sweep;
static struct err err;

static int enter(void **state)
{
	struct dp_config config = dp_config_default();
	char root[PATH_MAX];

	(void)state;
	if (sandbox_enter(root))
		return -1;
	config.root = root;
	if (dp_open(&config, &dp, &err) || dp_sweep_open(dp, &sweep, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int leave(void **state)
{
	(void)state;
	dp_sweep_close(sweep);
	dp_close(dp);
	return 0;
}

static __u32 now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (__u32)(((__u64)at.tv_sec * 1000000000 + (__u64)at.tv_nsec) >> 20);
}

static void zero_rule(__u32 rule)
{
	const struct dp_map *map = dp_get_map(dp, "mg_rule_stats");
	char zero[16384] = { 0 };

	assert_true(map->row_size <= sizeof(zero));
	assert_int_equal(dp_map_set(map, &rule, zero), 0);
}

static void begin(void)
{
	struct mg_local local = { 0 };
	const __u32 zero = 0;

	for (unsigned int i = 0; i < sizeof(local.timeout) / sizeof(local.timeout[0]); i++)
		local.timeout[i] = LIFE;
	assert_int_equal(dp_map_set(dp_get_map(dp, "mg_local"), &zero, &local), 0);
	for (__u32 rule = RULE_OUT; rule <= RULE_STAGED; rule++)
		zero_rule(rule);
}

static void expect_rule(__u32 rule, __u64 packets, __u64 bytes)
{
	__u64 sum[3];

	assert_int_equal(dp_map_sum(dp_get_map(dp, "mg_rule_stats"), rule, sum), 0);
	assert_int_equal(sum[0], 0);
	assert_int_equal(sum[1], packets);
	assert_int_equal(sum[2], bytes);
}

static union mg_addr address(const char *text)
{
	union mg_addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

/* The lower end first, as keys are ordered. */
static struct mg_flow_key key_of(const char *a, __u16 port_a, const char *b, __u16 port_b,
				 __u8 proto)
{
	return (struct mg_flow_key){ .a = address(a),
				     .b = address(b),
				     .port_a = htons(port_a),
				     .port_b = htons(port_b),
				     .proto = proto };
}

/* Three packets of 300 bytes in all, with rules of both ends, idle for so many ticks. */
static struct mg_flow row_of(__u32 idle)
{
	struct mg_flow flow = { .packets = 3,
				.bytes = 300,
				.seen = now() - idle,
				.flags = MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN };

	flow.side[0].judged = (struct mg_judged){ .rule = RULE_OUT, .set = 9 };
	flow.side[1].judged = (struct mg_judged){
		.rule = RULE_IN, .staged_rule = RULE_STAGED, .set = 9, .staged_set = 10
	};
	return flow;
}

static void put(const char *table, const struct mg_flow_key *key, const struct mg_flow *flow)
{
	assert_int_equal(dp_map_set(dp_get_map(dp, table), key, flow), 0);
}

static bool is_there(const char *table, const struct mg_flow_key *key)
{
	struct mg_flow flow;

	return !dp_map_get(dp_get_map(dp, table), key, &flow);
}

static void test_both_tables(void **state)
{
	static const char *const tables[] = { "mg_flow_e", "mg_flow_t" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct mg_flow_key key = key_of("10.0.0.1", 1000, "10.0.0.2", 53, IPPROTO_UDP);
		struct mg_flow flow = row_of(2 * LIFE);

		begin();
		flow.back = (struct mg_flow_count){ .packets = 2, .bytes = 90 };
		put(tables[i], &key, &flow);
		assert_int_equal(dp_sweep_flow(sweep, &key), 1);
		assert_false(is_there(tables[i], &key));
		expect_rule(RULE_OUT, 5, 390);
		expect_rule(RULE_IN, 5, 390);
		expect_rule(RULE_STAGED, 5, 390);
		assert_int_equal(dp_sweep_flow(sweep, &key), 0); /* nothing is left */
		expect_rule(RULE_OUT, 5, 390);
	}
}

/* A flow that had a packet lately stays, and its counts with it. */
static void test_alive(void **state)
{
	struct mg_flow_key key = key_of("fd00::1", 1000, "fd00::2", 80, IPPROTO_TCP);
	struct mg_flow flow = row_of(LIFE / 4);

	(void)state;
	begin();
	flow.state = MG_TCP_ESTABLISHED;
	put("mg_flow_e", &key, &flow);
	assert_int_equal(dp_sweep_flow(sweep, &key), 0);
	assert_true(is_there("mg_flow_e", &key));
	expect_rule(RULE_OUT, 0, 0);
	dp_map_delete(dp_get_map(dp, "mg_flow_e"), &key);
}

/* A pod's connection to the world, from 10.0.0.1:1000 to 203.0.113.9:443, translated to
 * 192.0.2.1:20000: the opener's row and that of the answers. */
static void pair(struct mg_flow_key key[2], struct mg_flow row[2], __u32 idle, __u32 idle_back)
{
	key[0] = key_of("10.0.0.1", 1000, "203.0.113.9", 443, IPPROTO_TCP);
	row[0] = row_of(idle);
	row[0].flags |= MG_FLOW_SNAT;
	row[0].way[1] = htons(20000);
	row[0].xlat = address("192.0.2.1");
	key[1] = key_of("192.0.2.1", 20000, "203.0.113.9", 443, IPPROTO_TCP);
	row[1] = row_of(idle_back);
	row[1].flags |= MG_FLOW_DNAT | MG_FLOW_REPLY | MG_FLOW_FROM_B;
	row[1].way[1] = htons(1000);
	row[1].xlat = address("10.0.0.1");
	for (int i = 0; i < 2; i++) {
		row[i].state = MG_TCP_ESTABLISHED;
		put("mg_flow_e", &key[i], &row[i]);
	}
}

/* Whichever row is met first: both go, and both count. */
static void test_pair(void **state)
{
	struct mg_flow_key key[2];
	struct mg_flow row[2];

	(void)state;
	for (int first = 0; first < 2; first++) {
		begin();
		pair(key, row, 2 * LIFE, 2 * LIFE);
		assert_int_equal(dp_sweep_flow(sweep, &key[first]), 1);
		assert_false(is_there("mg_flow_e", &key[0]) || is_there("mg_flow_e", &key[1]));
		expect_rule(RULE_OUT, 6, 600);
		expect_rule(RULE_IN, 6, 600);
	}
}

/* One direction alone is heard of: the other's row is idle, and no less alive. */
static void test_pair_with_one_alive(void **state)
{
	struct mg_flow_key key[2];
	struct mg_flow row[2];

	(void)state;
	for (int idle = 0; idle < 2; idle++) {
		begin();
		pair(key, row, idle ? LIFE / 4 : 2 * LIFE, idle ? 2 * LIFE : LIFE / 4);
		assert_int_equal(dp_sweep_flow(sweep, &key[0]), 0);
		assert_int_equal(dp_sweep_flow(sweep, &key[1]), 0);
		assert_true(is_there("mg_flow_e", &key[0]) && is_there("mg_flow_e", &key[1]));
		expect_rule(RULE_OUT, 0, 0);
	}
}

/* A host endpoint's rule, where the side is a place. */
static void test_place(void **state)
{
	struct mg_flow_key key = key_of("10.0.0.1", 1000, "10.0.0.2", 53, IPPROTO_UDP);
	struct mg_flow flow = row_of(2 * LIFE);

	(void)state;
	begin();
	flow.flags = MG_FLOW_JUDGED_HOST | MG_FLOW_JUDGED_IN;
	flow.side[0].place.rule = RULE_OUT;
	flow.side[0].place.at = 77;
	put("mg_flow_t", &key, &flow);
	assert_int_equal(dp_sweep_flow(sweep, &key), 1);
	expect_rule(RULE_OUT, 3, 300);
	expect_rule(RULE_IN, 3, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_tables), cmocka_unit_test(test_alive),
		cmocka_unit_test(test_pair),	    cmocka_unit_test(test_pair_with_one_alive),
		cmocka_unit_test(test_place),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
