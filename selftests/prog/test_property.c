/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded programs against the oracle: random policies of every kind, tiers, network sets,
 * services and pods become rows of the real
 * maps by the engine's plans, random first packets go through from_pod, to_pod and from_netdev,
 * and every judgement in the step log must be the oracle's, host endpoints' among them: one at the
 * uplink, one for all interfaces. The programs' verdict must be that of
 * the step log as well: a denied packet is dropped, an allowed one to a pod here is handed over.
 *
 * The step log is the trace copy's. Each packet goes through the load that works on packets too,
 * over the same rows with flows and counters of its own, as on a node: what trace says is what
 * happens, packet by packet by return code, and in the end drop for drop by hook and reason.
 *
 * MARGAY_SEED repeats a run; MARGAY_VERDICTS asks for more (`make check-long`: 1,000,000).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/policy_rig.h"

#define VERDICTS 200000
#define PACKETS_PER_WORLD 3000
#define DIFFERENT INT_MIN /* no code of a program */

static uint64_t seed;

/* --- packets ------------------------------------------------------------------------------- */

static struct wire_spec spec_of(const struct oracle_packet *packet, const struct pw_pod *sender)
{
	struct wire_spec spec = { .src = packet->src,
				  .dst = packet->dst,
				  .proto = packet->proto,
				  .sport = packet->sport,
				  .dport = packet->dport,
				  .tcp_flags = WIRE_SYN,
				  .icmp_type = packet->icmp_type,
				  .icmp_code = packet->icmp_code,
				  .icmp_id = rig.port,
				  .payload = 8 };

	memset(spec.to, 0xee, sizeof(spec.to));
	spec.from[0] = 2;
	spec.from[5] = sender ? (unsigned char)sender->slot : 99;
	return spec;
}

/* The return code of a hook's program. */
static int run_one(struct fixture *fx, enum mg_hook hook, __u32 ifindex, const struct wire *wire)
{
	struct __sk_buff context = { .ifindex = ifindex };
	unsigned char out[WIRE_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = wire->data,
		    .data_size_in = (__u32)wire->length, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);

	if (hook == MG_HOOK_TO_POD)
		context.ingress_ifindex = RIG_UPLINK;
	assert_int_equal(bpf_prog_test_run_opts(fixture_program(fx, hook), &opts), 0);
	return (int)opts.retval;
}

/* Through both loads: the code of the one at work, the step log of the other. */
static int run(enum mg_hook hook, __u32 ifindex, const struct wire_spec *spec,
	       struct mg_steps *ret_steps)
{
	static const struct mg_steps none;
	struct wire wire;
	__u32 zero = 0;
	int code, traced;

	wire_make(&wire, spec);
	fixture_put_at(&rig.fx, "mg_steps", 0, &none);
	code = run_one(&rig.plain, hook, ifindex, &wire);
	traced = run_one(&rig.fx, hook, ifindex, &wire);
	assert_true(fixture_get(&rig.fx, "mg_steps", &zero, ret_steps));
	return code == traced ? code : DIFFERENT;
}

static const struct mg_step *find_step(const struct mg_steps *steps, enum mg_step_kind kind)
{
	for (__u32 i = 0; i < steps->count && i < MG_STEPS_MAX; i++)
		if (steps->step[i].kind == kind)
			return &steps->step[i];
	return NULL;
}

static void disagree(const struct pw_view *view, const struct pw_case *c, const char *what)
{
	printf("# %s\n", what);
	pw_case_print(&rig.world, view, c);
	fflush(stdout);
	fail_msg("%s", what);
}

static const struct oracle_pod *pod_in(const struct pw_view *view, const struct pw_pod *pod)
{
	unsigned int i = 0;

	while (&rig.world.pod[view->index[i]] != pod)
		i++;
	return &view->pod[i];
}

/* One side's judgement against the oracle's; false: denied. */
static bool check_side(const struct pw_view *view, const struct pw_case *c,
		       const struct mg_steps *steps, enum policy_direction direction)
{
	bool in = direction == POLICY_IN;
	const struct mg_step *step = find_step(steps, in ? MG_STEP_INGRESS : MG_STEP_EGRESS);
	const struct pw_pod *near = rig_pod_at(in ? &c->packet.dst : &c->packet.src);
	bool wanted = oracle_allows(&view->oracle, pod_in(view, near), direction, &c->packet);
	bool allowed;

	if (!step)
		disagree(view, c, "a side was not judged");
	allowed = pk_allows(rig.kernel, step->b);
	rig.verdicts++;
	rig.allowed += allowed;
	if (allowed != wanted)
		disagree(view, c, in ? "ingress" : "egress");
	return allowed;
}

/* What the step log says of a host endpoint's stage, and what the oracle does; false: denied. */
static bool check_stage(const struct pw_view *view, const struct pw_case *c,
			const struct mg_step *step)
{
	const enum mg_stage stage = step->a >> 16;
	const struct oracle_host *host = &rig.hosts.oracle[(step->a & 0xffff) - PW_HOST_SLOT];
	const bool allowed = pk_allows(rig.kernel, step->b);

	rig.host_verdicts++;
	if (allowed != (oracle_host(&view->oracle, host, stage, &c->packet) != ORACLE_DENY))
		disagree(view, c, "a stage of a host endpoint");
	return allowed;
}

static bool check_hosts(const struct pw_view *view, const struct pw_case *c,
			const struct mg_steps *steps)
{
	bool allowed = true;

	for (__u32 i = 0; i < steps->count && i < MG_STEPS_MAX; i++)
		if (steps->step[i].kind == MG_STEP_HOST)
			allowed &= check_stage(view, c, &steps->step[i]);
	return allowed;
}

/* What staged policies say of a side, against the oracle's; judged where they concern the side. */
static void check_staged(const struct pw_view *view, const struct pw_case *c,
			 const struct mg_steps *steps, enum policy_direction direction)
{
	bool in = direction == POLICY_IN;
	const struct mg_step *step =
		find_step(steps, in ? MG_STEP_STAGED_INGRESS : MG_STEP_STAGED_EGRESS);
	const struct pw_pod *near = rig_pod_at(in ? &c->packet.dst : &c->packet.src);
	uint32_t set =
		pk_set(rig.kernel, near->slot, in ? MG_STAGE_STAGED_IN : MG_STAGE_STAGED_OUT);

	if (!step && set == MG_SET_NONE)
		return;
	if (!step)
		disagree(view, c, "a staged set was not judged");
	rig.staged++;
	if (pk_allows(rig.kernel, step->b) !=
	    oracle_pending(&view->oracle, pod_in(view, near), direction, &c->packet))
		disagree(view, c, in ? "staged ingress" : "staged egress");
}

/* Every packet opens a flow, so the source port is the next one; ICMP asks for an echo. */
static void open_flow(struct oracle_packet *packet)
{
	rig.port = rig.port == 65535 ? 1024 : rig.port + 1;
	if (packet->sport)
		packet->sport = rig.port;
	packet->icmp_code = 0;
	packet->icmp_type = packet->proto == IPPROTO_ICMP ? 8 : 0;
	if (packet->proto == IPPROTO_ICMPV6)
		packet->icmp_type = 128;
}

static void check_case(const struct pw_view *view, const struct pw_case *c)
{
	const struct pw_pod *from = rig_pod_at(&c->packet.src), *to = rig_pod_at(&c->packet.dst);
	bool leaves_here = from && from->slot, ends_here = to && to->slot, allowed = true;
	struct wire_spec spec = spec_of(&c->packet, leaves_here ? from : NULL);
	enum mg_hook hook = MG_HOOK_FROM_POD;
	struct mg_steps steps;
	__u32 ifindex;
	int code;

	if (leaves_here && from == to)
		return; /* a pod reaches itself, whatever the policy */
	if (!leaves_here)
		hook = pw_random(&rig.world, 2) ? MG_HOOK_TO_POD : MG_HOOK_FROM_NETDEV;
	ifindex = hook == MG_HOOK_FROM_NETDEV ? RIG_UPLINK
					      : MG_IFINDEX_BASE + (leaves_here ? from : to)->slot;
	code = run(hook, ifindex, &spec, &steps);
	if (code == DIFFERENT)
		disagree(view, c, "trace says something else than what happens");
	if (!find_step(&steps, MG_STEP_EGRESS) && !find_step(&steps, MG_STEP_INGRESS) &&
	    find_step(&steps, MG_STEP_FLOW) && find_step(&steps, MG_STEP_FLOW)->a)
		return; /* without ports it is a flow that was opened before */
	if (check_hosts(view, c, &steps)) {
		if (leaves_here) {
			allowed = check_side(view, c, &steps, POLICY_OUT);
			check_staged(view, c, &steps, POLICY_OUT);
		}
		if (ends_here && (allowed || find_step(&steps, MG_STEP_STAGED_INGRESS)))
			check_staged(view, c, &steps, POLICY_IN);
		if (allowed && ends_here)
			allowed = check_side(view, c, &steps, POLICY_IN);
	} else {
		allowed = false;
	}
	if (!allowed && code != TC_ACT_SHOT)
		disagree(view, c, "denied and not dropped");
	if (allowed && ends_here && hook != MG_HOOK_TO_POD && code != TC_ACT_REDIRECT)
		disagree(view, c, "allowed and not handed over");
	if (allowed && hook == MG_HOOK_TO_POD && code == TC_ACT_SHOT)
		disagree(view, c, "allowed and dropped");
}

/* A connection of the node itself with whom the case's pod met, if that is none of this node's. */
static void check_own(const struct pw_view *view, const struct pw_case *from)
{
	const bool in = pw_random(&rig.world, 2);
	struct pw_case c = *from;
	union mg_addr far = from->direction == POLICY_IN ? from->packet.src : from->packet.dst;
	const union mg_addr *own = &rig.hosts.host[0].ips[!addr_is4(&far)];
	const struct pw_pod *pod = rig_pod_at(&far);
	const struct mg_step *drop;
	struct wire_spec spec;
	struct mg_steps steps;
	bool allowed, denied;
	int code;

	if (pod && pod->slot)
		return;
	c.packet.src = in ? far : *own;
	c.packet.dst = in ? *own : far;
	spec = spec_of(&c.packet, NULL);
	code = run(in ? MG_HOOK_FROM_NETDEV : MG_HOOK_TO_NETDEV, RIG_UPLINK, &spec, &steps);
	if (code == DIFFERENT)
		disagree(view, &c, "trace says something else than what happens");
	if (find_step(&steps, MG_STEP_FLOW) && find_step(&steps, MG_STEP_FLOW)->a)
		return;
	allowed = check_hosts(view, &c, &steps);
	drop = find_step(&steps, MG_STEP_DROP);
	/* allowed ones may find no way to their node */
	denied = drop && (drop->a == MG_DROP_HOST_INGRESS || drop->a == MG_DROP_HOST_EGRESS);
	if (allowed == denied || (denied && code != TC_ACT_SHOT))
		disagree(view, &c, "the host endpoint says one thing and the program does another");
}

static __u64 dropped(int fd, __u32 index)
{
	struct mg_drop_count each[512];
	int cpus = libbpf_num_possible_cpus();
	__u64 packets = 0;

	assert_true(cpus <= (int)(sizeof(each) / sizeof(each[0])));
	assert_int_equal(bpf_map_lookup_elem(fd, &index, each), 0);
	for (int i = 0; i < cpus; i++)
		packets += each[i].packets;
	return packets;
}

/* Both loads have dropped as many packets for each reason at each hook. (Reason "none" counts
 * records that were not told, which goes by the clock.) */
static void check_drops(void)
{
	int traced = fixture_map(&rig.fx, "mg_drops"), plain = fixture_map(&rig.plain, "mg_drops");
	__u64 all = 0;

	for (__u32 i = 0; i < MG_HOOK_MAX * MG_DROP_SLOTS; i++) {
		if (i % MG_DROP_SLOTS == MG_DROP_NONE)
			continue;
		if (dropped(traced, i) != dropped(plain, i))
			fail_msg("%s at hook %u: trace drops %llu, the programs at work %llu",
				 fixture_reason_name(i % MG_DROP_SLOTS), i / MG_DROP_SLOTS,
				 dropped(traced, i), dropped(plain, i));
		all += dropped(plain, i);
	}
	assert_true(all > 0);
}

static void programs_agree_with_oracle(void **state)
{
	const struct engine_limits limits = { .pages = MG_CHUNK_PAGES };
	const char *more = getenv("MARGAY_VERDICTS");
	unsigned int wanted = more ? (unsigned int)strtoul(more, NULL, 0) : VERDICTS;
	struct pw_view view;
	struct pw_case c;

	(void)state;
	rig.port = 1024;
	for (uint64_t turn = 0; rig.verdicts < wanted; turn++) {
		rig.kernel = pk_new();
		rig.engine = engine_new(&limits);
		pw_init(&rig.world, seed + turn);
		pw_hosts_random(&rig.world, &rig.hosts);
		rig_clear();
		pw_tell(&rig.world, rig.engine);
		pw_hosts_tell(&rig.hosts, rig.engine);
		rig_settle();
		rig_put_endpoints();
		rig_put_hosts(turn);
		pw_view(&rig.world, &view);
		view.oracle.hosts = rig.hosts.oracle;
		view.oracle.host_count = PW_HOSTS;
		for (unsigned int i = 0; i < PACKETS_PER_WORLD; i++)
			if (pw_case(&rig.world, &view, &c)) {
				open_flow(&c.packet);
				check_case(&view, &c);
				if (rig.fx.local.flags & MG_LOCAL_HOST_POLICY)
					check_own(&view, &c);
			}
		pw_done(&rig.world);
		engine_free(rig.engine);
		pk_free(rig.kernel);
	}
	check_drops();
	printf("# %u verdicts of the programs agree, %u allow; %u of host endpoints' stages, %u of "
	       "staged policies\n",
	       rig.verdicts, rig.allowed, rig.host_verdicts, rig.staged);
	assert_true(rig.staged > 0);
	assert_true(rig.host_verdicts > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_agree_with_oracle),
	};

	seed = pw_seed();
	return cmocka_run_group_tests(tests, rig_open, rig_close);
}
