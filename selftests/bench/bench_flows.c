/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an established flow costs, and its table, with 10^5 and 10^6 others beside it. The flows
 * that are asked for are 500 in turn, each a single run: cold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "selftests/lib/cost.h"

#define FLOWS_MOST 1000000
#define BATCH 10000

static int open_many(void **state)
{
	const struct mg_config config = { .slots = 4096, .mark = 0x01000000, .redirect_peer = 1 };

	(void)state;
	if (scene_setup_with(&config, FLOWS_MOST + FLOWS_MOST / 8))
		return -1;
	cost_open();
	return 0;
}

/* Rows [first, last) of connections that nobody looks up. */
static void fill(__u32 first, __u32 last, const struct mg_flow *flow)
{
	static struct mg_flow_key keys[BATCH];
	static struct mg_flow rows[BATCH];
	const struct mg_flow_key key = { .a = fixture_addr("198.51.100.1"),
					 .b = fixture_addr("203.0.113.1"),
					 .proto = IPPROTO_TCP };

	while (first < last) {
		__u32 count = last - first < BATCH ? last - first : BATCH;

		for (__u32 i = 0; i < count; i++) {
			keys[i] = key;
			keys[i].port_a = (__be16)(first + i);
			keys[i].port_b = (__be16)((first + i) >> 16);
			rows[i] = *flow;
		}
		if (bpf_map_update_batch(fixture_map(&node, "mg_flow_e"), keys, rows, &count, NULL))
			fail_msg("rows from %u of mg_flow_e: %s", first, strerror(errno));
		first += count;
	}
}

/* Bytes as the kernel accounts them. */
static unsigned long long memory_of(const char *map)
{
	unsigned long long bytes = 0;
	char path[64], line[256];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fixture_map(&node, map));
	info = fopen(path, "r");
	assert_non_null(info);
	while (fgets(line, sizeof(line), info))
		sscanf(line, "memlock: %llu", &bytes);
	fclose(info);
	assert_true(bytes);
	return bytes;
}

/* The best of several rounds. */
static unsigned int cost_among_many(void)
{
	unsigned int best = UINT_MAX, cost, empty;

	for (int round = 0; round < 5; round++) {
		cost = cost_cold(IPPROTO_TCP, WIRE_ACK, &empty);
		best = cost < best ? cost : best;
	}
	return best;
}

static void test_many_flows(void **state)
{
	static const __u32 counts[] = { 0, 100000, FLOWS_MOST };
	struct mg_flow flow;

	(void)state;
	scene_again(&node);
	for (int i = 0; i < COST_COLD_FLOWS; i++) {
		struct wire_spec spec = cost_udp(POD_B, 4);

		spec.sport = (unsigned short)(1024 + i);
		cost_handshake(&spec, 4);
		fixture_flow(&node, &spec, &flow);
	}
	for (int i = 0; i < 3; i++) {
		char what[64];

		fill(i ? counts[i - 1] : 0, counts[i], &flow);
		snprintf(what, sizeof(what), "IPv4 established flow among %u", counts[i]);
		printf("# %-40s cold %4u ns (median)\n", what, cost_among_many());
		snprintf(what, sizeof(what), "mg_flow_e with %u rows", counts[i] + COST_COLD_FLOWS);
		printf("# %-40s      %4llu MiB\n", what, memory_of("mg_flow_e") >> 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many_flows) };

	return cmocka_run_group_tests(tests, open_many, scene_teardown);
}
