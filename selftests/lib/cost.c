/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "selftests/lib/cost.h"

static int empty_fd;

void cost_open(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	empty_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "empty", "GPL", pass, 2, NULL);
}

unsigned int cost_run(int fd, const struct wire *wire, __u32 ifindex, int repeat, int *ret_code)
{
	static unsigned char out[WIRE_MAX];
	struct __sk_buff context = { .ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = wire->data,
		    .data_size_in = (__u32)wire->length, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = repeat);

	if (bpf_prog_test_run_opts(fd, &opts))
		fail_msg("test run");
	*ret_code = (int)opts.retval;
	return opts.duration;
}

unsigned int cost_empty(const struct wire *wire, __u32 ifindex, int repeat, int *ret_code)
{
	return cost_run(empty_fd, wire, ifindex, repeat, ret_code);
}

int cost_order(const void *x, const void *y)
{
	const unsigned int *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

struct wire_spec cost_udp(enum place to, int family)
{
	struct wire_spec spec = scene_packet(POD_A, to, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 40000;
	spec.dport = 53;
	spec.payload = 64;
	return spec;
}

unsigned int cost_cold(unsigned char proto, unsigned char flags, unsigned int *ret_empty)
{
	static unsigned int cost[COST_COLD_FLOWS], empty[COST_COLD_FLOWS];
	struct wire wire;
	int code;

	for (int i = 0; i < COST_COLD_FLOWS; i++) {
		struct wire_spec spec = cost_udp(POD_B, 4);

		spec.proto = proto;
		spec.tcp_flags = flags;
		spec.sport = (unsigned short)(1024 + i);
		wire_make(&wire, &spec);
		empty[i] = cost_empty(&wire, 1, 1, &code);
		cost[i] = cost_run(fixture_program(&node, MG_HOOK_FROM_POD), &wire,
				   MG_IFINDEX_BASE + SLOT_A, 1, &code);
		assert_int_equal(code, TC_ACT_REDIRECT);
	}
	qsort(cost, COST_COLD_FLOWS, sizeof(cost[0]), cost_order);
	qsort(empty, COST_COLD_FLOWS, sizeof(empty[0]), cost_order);
	*ret_empty = empty[COST_COLD_FLOWS / 2];
	return cost[COST_COLD_FLOWS / 2] - *ret_empty;
}

void cost_handshake(struct wire_spec *spec, int family)
{
	struct wire_spec back = scene_packet(POD_B, POD_A, family);

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
