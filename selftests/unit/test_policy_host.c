/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints' stages against the oracle: random worlds with two host endpoints, packets between
 * any two addresses; fresh, after changes one by one, and after a restart. MARGAY_SEED repeats a
 * run.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/policy_hosts.h"
#include "selftests/lib/policy_kernel.h"
#include "selftests/lib/policy_world.h"

#define VERDICTS 100000
#define CASES 800

struct question {
	unsigned int host;
	enum mg_stage stage;
	struct oracle_packet packet;
};

static uint64_t seed;
static unsigned int answers[ORACLE_PASS]; /* how often each was right */
static unsigned int both_ends;		  /* answered by a set that has both ends free */

/* Of a pod, of a host, or of neither. */
static union mg_addr random_end(struct policy_world *world, const struct pw_hosts *hosts, bool is6)
{
	static const char *const others[2][4] = {
		{ "10.1.0.9", "8.8.8.8", "192.0.2.200", "10.1.0.77" },
		{ "fd00:1::9:9", "fd00:2::1", "2001:db8::1", "2001:db8::2" }
	};
	const struct pw_pod *pod = &world->pod[pw_random(world, PW_PODS)];
	union mg_addr addr;

	if (pw_chance(world, 40) && pod->present && pod->ip_count > is6)
		return pod->ips[is6];
	if (pw_chance(world, 50))
		return hosts->host[pw_random(world, PW_HOSTS)].ips[is6];
	assert_int_equal(addr_parse(pw_pick(world, others[is6]), &addr), 0);
	return addr;
}

static struct question random_question(struct policy_world *world, const struct pw_hosts *hosts)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP,
					     47 };
	static const uint16_t ports[] = { 1, 52, 53, 54, 80, 81, 256, 8080, 65535 };
	const bool is6 = pw_chance(world, 30);
	struct question q = { .host = pw_random(world, PW_HOSTS),
			      .stage = pw_random(world, MG_STAGE_WORKLOAD_IN) };

	q.packet.src = random_end(world, hosts, is6);
	q.packet.dst = random_end(world, hosts, is6);
	q.packet.proto = pw_pick(world, protocols);
	if (q.packet.proto == 47)
		return q;
	q.packet.sport = (uint16_t)(1024 + pw_random(world, 60000));
	q.packet.dport = pw_pick(world, ports);
	return q;
}

static bool is_in(enum mg_stage stage)
{
	return stage == MG_STAGE_UNTRACKED_IN || stage == MG_STAGE_PREDNAT ||
	       stage == MG_STAGE_FORWARD_IN || stage == MG_STAGE_NORMAL_IN;
}

/* As bpf/lib/host.h: an allowance without a rule is none where other stages follow. */
static enum oracle_answer judged(const struct policy_kernel *kernel, const struct question *q)
{
	const bool in = is_in(q->stage);
	const struct pk_packet packet = { .peer = in ? q->packet.src : q->packet.dst,
					  .proto = q->packet.proto,
					  .sport = q->packet.sport,
					  .dport = q->packet.dport };
	const uint32_t slot = PW_HOST_SLOT + q->host;
	uint32_t number;

	if (pk_set(kernel, slot, q->stage) == MG_SET_NONE)
		return ORACLE_NO_MATCH;
	number = pk_judge_host(kernel, slot, q->stage, in ? &q->packet.dst : &q->packet.src,
			       &packet);
	if (!pk_allows(kernel, number))
		return ORACLE_DENY;
	if (q->stage <= MG_STAGE_PREDNAT &&
	    (number < MG_VERDICT_FIRST || !kernel->verdict[number].rule))
		return ORACLE_NO_MATCH;
	return ORACLE_ALLOW;
}

/* Of the last stages, what nothing is said of passes. */
static bool same(enum oracle_answer a, enum oracle_answer b, enum mg_stage stage)
{
	if (stage > MG_STAGE_PREDNAT)
		return (a == ORACLE_DENY) == (b == ORACLE_DENY);
	return a == b;
}

static void compare(const struct policy_kernel *kernel, struct policy_world *world,
		    const struct pw_hosts *hosts, unsigned int cases)
{
	struct pw_view view;

	pw_view(world, &view);
	view.oracle.hosts = hosts->oracle;
	view.oracle.host_count = PW_HOSTS;
	for (unsigned int i = 0; i < cases; i++) {
		struct question q = random_question(world, hosts);
		enum oracle_answer want = oracle_host(&view.oracle, &hosts->oracle[q.host], q.stage,
						      &q.packet),
				   got = judged(kernel, &q);
		char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

		answers[got]++;
		both_ends += kernel->set[pk_set(kernel, PW_HOST_SLOT + q.host, q.stage)].flags &
			     MG_SET_BOTH_ENDS;
		if (same(want, got, q.stage))
			continue;
		pw_print(world);
		for (unsigned int k = 0; k < PW_HOSTS; k++) {
			printf("# host %u:", k);
			for (size_t n = 0; n < hosts->host[k].labels.count; n++)
				printf(" %s=%s", hosts->host[k].labels.v[n].key,
				       hosts->host[k].labels.v[n].value);
			printf("\n");
		}
		fail_msg("host %u stage %u: %s -> %s proto %u ports %u %u: oracle %u, engine %u",
			 q.host, q.stage, addr_format(&q.packet.src, src),
			 addr_format(&q.packet.dst, dst), q.packet.proto, q.packet.sport,
			 q.packet.dport, want, got);
	}
}

static void agrees_with_oracle(void **state)
{
	struct policy_world world;
	struct pw_hosts hosts;
	unsigned int done = 0;

	(void)state;
	for (uint64_t turn = 0; done < VERDICTS; turn++, done += CASES) {
		struct policy_kernel *kernel = pk_new();
		struct engine *engine = engine_new(NULL);

		pw_init(&world, seed + turn);
		pw_hosts_random(&world, &hosts);
		pw_tell(&world, engine);
		pw_hosts_tell(&hosts, engine);
		pk_settle(kernel, engine);
		compare(kernel, &world, &hosts, CASES);
		pw_done(&world);
		engine_free(engine);
		pk_free(kernel);
	}
	printf("# %u verdicts agree: %u allow, %u deny, %u go on; %u of both ends\n", done,
	       answers[ORACLE_ALLOW], answers[ORACLE_DENY], answers[ORACLE_NO_MATCH], both_ends);
	assert_true(answers[ORACLE_ALLOW] && answers[ORACLE_DENY] && answers[ORACLE_NO_MATCH]);
	assert_true(both_ends > done / 50);
}

/* Every few changes the agent starts anew: a first plan, then more changes. */
static void incremental_agrees(void **state)
{
	struct policy_world world;
	struct pw_hosts hosts;

	(void)state;
	for (uint64_t turn = 0; turn < 12; turn++) {
		struct policy_kernel *kernel = pk_new();
		struct engine *engine = engine_new(NULL);

		pw_init(&world, seed + 1000000 + turn);
		pw_hosts_random(&world, &hosts);
		pw_tell(&world, engine);
		pw_hosts_tell(&hosts, engine);
		pk_settle(kernel, engine);
		for (int change = 0; change < 60; change++) {
			bool restart = pw_chance(&world, 15);

			for (uint32_t n = 1 + pw_random(&world, 3); n; n--)
				pw_change(&world, restart ? NULL : engine);
			if (pw_chance(&world, 10)) {
				pw_hosts_random(&world, &hosts);
				if (!restart)
					pw_hosts_tell(&hosts, engine);
			}
			if (restart) {
				engine_free(engine);
				engine = pk_restart(kernel);
				pw_tell(&world, engine);
				pw_hosts_tell(&hosts, engine);
			}
			pk_settle(kernel, engine);
			compare(kernel, &world, &hosts, 120);
		}
		pw_done(&world);
		engine_free(engine);
		pk_free(kernel);
	}
}

/* What is in force does not change before the commit, but for addresses that change. */
static void restart_keeps(void **state)
{
	struct policy_world world;
	struct pw_hosts hosts;

	(void)state;
	for (uint64_t turn = 0; turn < 10; turn++) {
		struct policy_kernel *kernel = pk_new();
		struct engine *engine = engine_new(NULL);
		const struct plan *plan;

		pw_init(&world, seed + 2000000 + turn);
		pw_hosts_random(&world, &hosts);
		pw_tell(&world, engine);
		pw_hosts_tell(&hosts, engine);
		pk_settle(kernel, engine);
		engine_free(engine);
		engine = pk_restart(kernel);
		pw_tell(&world, engine);
		pw_hosts_tell(&hosts, engine);
		assert_int_equal(engine_build(engine, &plan, NULL), 0);
		assert_false(plan->commits);
		assert_int_equal(plan->move_count, 0);
		pk_apply(kernel, engine, plan);
		compare(kernel, &world, &hosts, 200);
		pw_done(&world);
		engine_free(engine);
		pk_free(kernel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_oracle),
		cmocka_unit_test(incremental_agrees),
		cmocka_unit_test(restart_keeps),
	};

	seed = pw_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
