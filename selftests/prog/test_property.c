/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded programs against the oracle: random policies of every kind, tiers, network sets,
 * services and pods become rows of the real
 * maps by the engine's plans, random first packets go through from_pod, to_pod and from_netdev,
 * and every judgement in the step log must be the oracle's. The programs' verdict must be that of
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

#include "abi/maps.h"
#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/fixture.h"
#include "selftests/lib/policy_kernel.h"
#include "selftests/lib/policy_world.h"
#include "selftests/lib/sandbox.h"

#include "margay.skel.h"

#define VERDICTS 200000
#define PACKETS_PER_WORLD 3000
#define UPLINK 77
#define DIFFERENT INT_MIN /* no code of a program */

struct rig {
	struct fixture fx;
	struct margay *plain; /* without the step log */
	struct policy_world world;
	struct policy_kernel *kernel;
	struct engine *engine;
	unsigned int verdicts;
	unsigned int allowed;
	uint16_t port; /* the next source port: every packet opens a flow */
};

static struct rig rig;
static uint64_t seed;

static bool is_derived(const char *name)
{
#define ROW(map, key, value, class, help) { #map, #class },
	static const char *const rows[][2] = { MG_MAPS(ROW) };
#undef ROW

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i][0], name))
			return !strcmp(rows[i][1], "DERIVED");
	return false;
}

/* Rows of the model are shared as dataplane/trace.h shares them; the rest is its own. */
static int share(struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	if (!strcmp(name, "mg_chunk0"))
		return bpf_map__set_autocreate(map, false); /* stands in mg_pages */
	return is_derived(name) ? bpf_map__reuse_fd(map, fixture_map(&rig.fx, name)) : 0;
}

static int open_plain(void)
{
	struct bpf_map *map;

	rig.plain = margay__open();
	if (!rig.plain)
		return -1;
	rig.plain->rodata->mg_config = rig.fx.config;
	rig.plain->rodata->mg_config.trace = 0;
	bpf_object__for_each_map(map, rig.plain->obj) if (share(map)) return -1;
	return margay__load(rig.plain);
}

static int open_rig(void **state)
{
	char root[PATH_MAX];

	(void)state;
	if (sandbox_enter(root))
		return -1;
	fixture_open(&rig.fx, NULL, 0);
	if (open_plain())
		return -1;
	for (__u32 slot = 1; slot <= PW_PODS; slot++)
		fixture_device(MG_IFINDEX_BASE + slot);
	fixture_device(UPLINK);
	return 0;
}

static int close_rig(void **state)
{
	(void)state;
	margay__destroy(rig.plain);
	fixture_close(&rig.fx);
	return 0;
}

/* --- rows ---------------------------------------------------------------------------------- */

static void put_row(const struct plan_row *row)
{
	static const char *const name[PLAN_MAPS] = {
		[PLAN_PAGE] = "mg_chunk0",	   [PLAN_SET] = "mg_sets",
		[PLAN_CLASS] = "mg_classes",	   [PLAN_VERDICT] = "mg_verdicts",
		[PLAN_SLOT] = "mg_slots",	   [PLAN_COMMIT_ROW] = "mg_commits",
		[PLAN_IDENT_DIG] = "mg_ident_dig", [PLAN_SET_DIG] = "mg_set_dig",
		[PLAN_RULE_DIG] = "mg_rule_dig",
	};
	struct mg_page scratch;
	const void *value;
	size_t size;

	if (row->del) {
		fixture_del(&rig.fx, name[row->map], &row->key);
		return;
	}
	value = plan_value(rig.engine, row, &scratch, &size);
	fixture_put_at(&rig.fx, name[row->map], row->key, value);
}

static const struct pw_pod *pod_at(const union mg_addr *addr)
{
	for (unsigned int i = 0; i < PW_PODS; i++)
		for (size_t k = 0; rig.world.pod[i].present && k < rig.world.pod[i].ip_count; k++)
			if (!addr_cmp(&rig.world.pod[i].ips[k], addr))
				return &rig.world.pod[i];
	return NULL;
}

static void put_move(const struct plan_move *move)
{
	struct mg_ident row = { .identity = move->identity };
	union mg_addr addr = move->prefix.addr;
	const struct pw_pod *pod = move->net ? NULL : pod_at(&addr);

	if (move->gone && move->net)
		fixture_del(&rig.fx, "mg_nets", &move->prefix);
	else if (move->gone)
		fixture_del(&rig.fx, "mg_addrs", &addr);
	if (move->gone)
		return;
	if (move->net) {
		fixture_put(&rig.fx, "mg_nets", &move->prefix, &row);
		return;
	}
	assert_non_null(pod);
	row.flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL | (pod->slot ? MG_ADDR_LOCAL : 0);
	row.node = pod->slot ? 1 : 2;
	row.slot = pod->slot;
	fixture_put(&rig.fx, "mg_addrs", &addr, &row);
}

static void commit(__u32 row)
{
	struct mg_control control = fixture_control(&rig.fx);

	control.commit = row;
	control.change++;
	fixture_control_put(&rig.fx, &control);
}

static void settle(void)
{
	const struct plan *plan;

	for (int turn = 0; engine_pending(rig.engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(rig.engine, &plan, NULL), 0);
		for (int phase = 0; phase < PLAN_PHASES; phase++) {
			for (size_t i = 0; i < plan->row_count[phase]; i++)
				put_row(&plan->row[phase][i]);
			for (size_t i = 0; phase == PLAN_MOVE && i < plan->move_count; i++)
				put_move(&plan->move[i]);
			if (phase == PLAN_COMMIT && plan->commits)
				commit(plan->commit);
		}
		pk_apply(rig.kernel, rig.engine, plan);
		engine_grace_done(rig.engine, engine_applied_build(rig.engine));
	}
}

static void put_endpoints(void)
{
	for (__u32 slot = 1; slot <= PW_PODS; slot++) {
		const struct pw_pod *pod = &rig.world.pod[slot - 1];
		struct mg_ep ep = { .ifindex = MG_IFINDEX_BASE + slot,
				    .flags = MG_EP_READY,
				    .mtu = 1500,
				    .slot = (__u16)slot,
				    .mac = { 2, 0, 0, 0, 0, (__u8)slot },
				    .host_mac = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee } };

		if (!pod->present || !pod->slot)
			ep = (struct mg_ep){ 0 };
		if (ep.slot)
			ep.ip4 = pod->ips[0];
		if (ep.slot && pod->ip_count > 1)
			ep.ip6 = pod->ips[1];
		fixture_put_at(&rig.fx, "mg_ep", slot, &ep);
	}
}

/* Deletes behind the walk: from the first key each time, a hash is read from its start. */
static void empty(int fd, size_t key_size)
{
	unsigned char key[2][64];
	int r = bpf_map_get_next_key(fd, NULL, key[0]);

	for (unsigned int i = 0; !r; i = !i) {
		assert_true(key_size <= sizeof(key[0]));
		r = bpf_map_get_next_key(fd, key[i], key[!i]);
		bpf_map_delete_elem(fd, key[i]);
	}
}

/* Whatever a world before left. Rows that the new engine does not name are never read. */
static void clear_maps(void)
{
	const struct mg_slot none = { 0 };

	empty(fixture_map(&rig.fx, "mg_flow_t"), sizeof(struct mg_flow_key));
	empty(fixture_map(&rig.fx, "mg_flow_e"), sizeof(struct mg_flow_key));
	empty(bpf_map__fd(rig.plain->maps.mg_flow_t), sizeof(struct mg_flow_key));
	empty(bpf_map__fd(rig.plain->maps.mg_flow_e), sizeof(struct mg_flow_key));
	empty(fixture_map(&rig.fx, "mg_addrs"), sizeof(union mg_addr));
	empty(fixture_map(&rig.fx, "mg_nets"), sizeof(struct mg_prefix));
	for (__u32 slot = 1; slot <= PW_PODS; slot++)
		fixture_put_at(&rig.fx, "mg_slots", slot, &none);
	commit(0);
}

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

static const struct bpf_program *program_of(const struct margay *skel, enum mg_hook hook)
{
	if (hook == MG_HOOK_TO_POD)
		return skel->progs.to_pod;
	return hook == MG_HOOK_FROM_NETDEV ? skel->progs.from_netdev : skel->progs.from_pod;
}

/* The return code of a hook's program. */
static int run_one(const struct bpf_program *program, enum mg_hook hook, __u32 ifindex,
		   const struct wire *wire)
{
	struct __sk_buff context = { .ifindex = ifindex };
	unsigned char out[WIRE_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = wire->data,
		    .data_size_in = (__u32)wire->length, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);

	if (hook == MG_HOOK_TO_POD)
		context.ingress_ifindex = UPLINK;
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &opts), 0);
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
	code = run_one(program_of(rig.plain, hook), hook, ifindex, &wire);
	traced = run_one(program_of(rig.fx.skel, hook), hook, ifindex, &wire);
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

/* One side's judgement against the oracle's; false: denied. */
static bool check_side(const struct pw_view *view, const struct pw_case *c,
		       const struct mg_steps *steps, enum policy_direction direction)
{
	bool in = direction == POLICY_IN;
	const struct mg_step *step = find_step(steps, in ? MG_STEP_INGRESS : MG_STEP_EGRESS);
	const struct pw_pod *near = pod_at(in ? &c->packet.dst : &c->packet.src);
	bool wanted, allowed;
	unsigned int i = 0;

	while (&rig.world.pod[view->index[i]] != near)
		i++;
	wanted = oracle_allows(&view->oracle, &view->pod[i], direction, &c->packet);
	if (!step)
		disagree(view, c, "a side was not judged");
	allowed = pk_allows(rig.kernel, step->b);
	rig.verdicts++;
	rig.allowed += allowed;
	if (allowed != wanted)
		disagree(view, c, in ? "ingress" : "egress");
	return allowed;
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
	const struct pw_pod *from = pod_at(&c->packet.src), *to = pod_at(&c->packet.dst);
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
	ifindex = hook == MG_HOOK_FROM_NETDEV ? UPLINK
					      : MG_IFINDEX_BASE + (leaves_here ? from : to)->slot;
	code = run(hook, ifindex, &spec, &steps);
	if (code == DIFFERENT)
		disagree(view, c, "trace says something else than what happens");
	if (!find_step(&steps, MG_STEP_EGRESS) && !find_step(&steps, MG_STEP_INGRESS) &&
	    find_step(&steps, MG_STEP_FLOW) && find_step(&steps, MG_STEP_FLOW)->a)
		return; /* without ports it is a flow that was opened before */
	if (leaves_here)
		allowed = check_side(view, c, &steps, POLICY_OUT);
	if (allowed && ends_here)
		allowed = check_side(view, c, &steps, POLICY_IN);
	if (!allowed && code != TC_ACT_SHOT)
		disagree(view, c, "denied and not dropped");
	if (allowed && ends_here && hook != MG_HOOK_TO_POD && code != TC_ACT_REDIRECT)
		disagree(view, c, "allowed and not handed over");
	if (allowed && hook == MG_HOOK_TO_POD && code == TC_ACT_SHOT)
		disagree(view, c, "allowed and dropped");
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
	int traced = fixture_map(&rig.fx, "mg_drops"),
	    plain = bpf_map__fd(rig.plain->maps.mg_drops);
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
		clear_maps();
		pw_tell(&rig.world, rig.engine);
		settle();
		put_endpoints();
		pw_view(&rig.world, &view);
		for (unsigned int i = 0; i < PACKETS_PER_WORLD; i++)
			if (pw_case(&rig.world, &view, &c)) {
				open_flow(&c.packet);
				check_case(&view, &c);
			}
		pw_done(&rig.world);
		engine_free(rig.engine);
		pk_free(rig.kernel);
	}
	check_drops();
	printf("# %u verdicts of the programs agree, %u allow\n", rig.verdicts, rig.allowed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_agree_with_oracle),
	};

	seed = pw_seed();
	return cmocka_run_group_tests(tests, open_rig, close_rig);
}
