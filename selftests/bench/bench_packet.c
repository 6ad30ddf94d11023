/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost of one packet in the pods' programs: BPF_PROG_TEST_RUN with repeat, the packet path's own
 * load (no trace), the best of several rounds, an empty program subtracted. Each path's verdict
 * is asserted, or another path would be measured. Prints a table; figures are of this machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <limits.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>

#include "selftests/lib/scene.h"

#define ROUNDS 400
#define REPEAT 200 /* a packet loses a hop a run */

static int open_node(void **state)
{
	const struct mg_config config = {
		.slots = 4096, .mark = 0x01000000, .ipv6 = 1, .redirect_peer = 1
	};

	(void)state;
	return scene_setup_with(&config, 0);
}

static unsigned int empty_cost(const struct wire *wire)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", pass, 2, NULL);
	unsigned int best = UINT_MAX;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned char out[WIRE_MAX];
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = wire->data,
			    .data_size_in = (__u32)wire->length, .data_out = out,
			    .data_size_out = sizeof(out), .repeat = REPEAT);

		if (bpf_prog_test_run_opts(fd, &opts))
			fail_msg("test run");
		if (opts.duration < best)
			best = opts.duration;
	}
	return best;
}

static void measure(const char *what, const struct wire_spec *spec, enum mg_hook hook, int code)
{
	struct fixture_run run = { .hook = hook,
				   .ifindex = MG_IFINDEX_BASE +
					      (hook == MG_HOOK_TO_POD ? SLOT_B : SLOT_A),
				   .repeat = REPEAT };
	unsigned int best = UINT_MAX, empty;
	struct wire_spec sent = *spec;
	struct fixture_out out;
	struct wire wire;

	sent.ttl = 255;
	wire_make(&wire, &sent);
	run.in = &wire;
	empty = empty_cost(&wire);
	for (int i = 0; i < ROUNDS; i++) {
		fixture_run(&node, &run, &out);
		assert_int_equal(out.code, code);
		if (out.duration < best)
			best = out.duration;
	}
	printf("# %-40s %4u ns (empty program: %u)\n", what, best - empty, empty);
}

static struct wire_spec udp(enum place to, int family)
{
	struct wire_spec spec = scene_packet(POD_A, to, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 40000;
	spec.dport = 53;
	spec.payload = 64;
	return spec;
}

/* Puts the flow into the established table. */
static void establish(struct wire_spec *spec, int family)
{
	struct wire_spec back = scene_packet(POD_B, POD_A, family);

	scene_again(&node);
	spec->proto = back.proto = IPPROTO_TCP;
	back.sport = spec->dport;
	back.dport = spec->sport;
	spec->tcp_flags = WIRE_SYN;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &(struct fixture_out){ 0 });
	back.tcp_flags = WIRE_SYN | WIRE_ACK;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_B, &back, &(struct fixture_out){ 0 });
	spec->tcp_flags = WIRE_ACK;
	scene_run(&node, MG_HOOK_FROM_POD, SLOT_A, spec, &(struct fixture_out){ 0 });
	assert_int_equal(fixture_flow(&node, spec, &(struct mg_flow){ 0 }), 2);
}

static void test_paths(void **state)
{
	struct wire_spec spec;
	char what[64];

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		spec = udp(POD_B, family);
		scene_again(&node);
		snprintf(what, sizeof(what), "IPv%d transient flow, pod to pod", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_REDIRECT);
		establish(&spec, family);
		snprintf(what, sizeof(what), "IPv%d established flow, pod to pod", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_REDIRECT);
		spec = udp(POD_B, family);
		spec.src = place_addr(NODE_OWN, family);
		snprintf(what, sizeof(what), "IPv%d known flow, host to pod", family);
		measure(what, &spec, MG_HOOK_TO_POD, TC_ACT_UNSPEC);
		fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, MG_SET_DROP_ALL);
		spec = udp(POD_B, family);
		spec.dport = 54;
		snprintf(what, sizeof(what), "IPv%d first packet, denied", family);
		measure(what, &spec, MG_HOOK_FROM_POD, TC_ACT_SHOT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths) };

	return cmocka_run_group_tests(tests, open_node, scene_teardown);
}
