/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy/compare.h: what it says changes is what the maps' verdicts before and after say, for
 * random worlds, changes and packets, of pods and of host endpoints. MARGAY_SEED repeats a run.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "policy/compare.h"
#include "selftests/lib/policy_hosts.h"
#include "selftests/lib/policy_kernel.h"
#include "selftests/lib/policy_world.h"

#define WORLDS 250
#define CHANGES 4 /* at most, between the two */
#define PROBES 200
#define CHANGED_MIN 2000 /* verdicts, so that the test has seen what it is about */

static uint64_t seed;

struct probe {
	uint32_t slot;
	enum mg_stage stage;
	union mg_addr near;
	struct pk_packet packet;
	enum compare_outcome was;
	uint16_t near_was, far_was; /* identities */
	bool told;
};

struct scene {
	struct policy_world world;
	struct pw_hosts hosts;
	struct policy_kernel *kernel;
	struct engine *engine;
	struct probe probe[PROBES];
	size_t probes;
	unsigned int changed;
};

static struct probe probe_of(struct policy_world *world, const struct pw_view *view,
			     const struct pw_case *c)
{
	bool in = c->direction == POLICY_IN;
	struct probe probe = {
		.slot = world->pod[view->index[c->pod]].slot,
		.stage = in ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT,
		.near = in ? c->packet.dst : c->packet.src,
		.packet = { .peer = in ? c->packet.src : c->packet.dst,
			    .proto = c->packet.proto,
			    .sport = c->packet.sport,
			    .dport = c->packet.dport,
			    .icmp_type = c->packet.icmp_type,
			    .icmp_code = c->packet.icmp_code },
	};

	if (pw_chance(world, 35)) {
		probe.slot = PW_HOST_SLOT + pw_random(world, PW_HOSTS);
		probe.stage = pw_random(world, MG_STAGE_WORKLOAD_IN);
	}
	return probe;
}

static enum compare_outcome outcome(const struct policy_kernel *kernel, const struct probe *probe)
{
	uint32_t verdict;

	if (probe->stage < MG_STAGE_WORKLOAD_IN &&
	    pk_set(kernel, probe->slot, probe->stage) == MG_SET_NONE)
		verdict = MG_VERDICT_ALLOW;
	else
		verdict = pk_judge_host(kernel, probe->slot, probe->stage, &probe->near,
					&probe->packet);
	if (!pk_allows(kernel, verdict))
		return COMPARE_DENIES;
	return probe->stage <= MG_STAGE_PREDNAT &&
			       (verdict < MG_VERDICT_FIRST || !kernel->verdict[verdict].rule)
		       ? COMPARE_GOES_ON
		       : COMPARE_ALLOWS;
}

static void draw(struct scene *scene, const struct compare *before)
{
	struct pw_view view;
	struct pw_case c;

	scene->probes = 0;
	pw_view(&scene->world, &view);
	for (unsigned int i = 0; i < PROBES; i++) {
		struct probe *probe = &scene->probe[scene->probes];

		if (!pw_case(&scene->world, &view, &c))
			continue;
		*probe = probe_of(&scene->world, &view, &c);
		probe->was = outcome(scene->kernel, probe);
		probe->near_was = compare_identity(before, &probe->near);
		probe->far_was = compare_identity(before, &probe->packet.peer);
		scene->probes++;
	}
}

/* --- what the comparison says -------------------------------------------------------------- */

static bool of_slot(const struct compare_change *change, uint32_t slot)
{
	for (size_t i = 0; i < change->slots; i++)
		if (change->slot[i] == slot)
			return true;
	return false;
}

static bool of_peer(const struct compare_peer *const *peer, size_t count, uint16_t was,
		    uint16_t now)
{
	for (size_t i = 0; i < count; i++)
		if (peer[i]->before == was && peer[i]->now == now)
			return true;
	return false;
}

static bool has_table(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static bool of_traffic(const struct compare_traffic *traffic, const struct pk_packet *packet)
{
	bool icmp = packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6;
	uint16_t port = icmp ? packet->icmp_type << 8 | packet->icmp_code : packet->dport;

	if (packet->sport < traffic->sport_first || packet->sport > traffic->sport_last)
		return false;
	if (traffic->proto == COMPARE_ALL)
		return true;
	if (traffic->proto == COMPARE_OTHERS)
		return !has_table(packet->proto);
	return traffic->proto == packet->proto &&
	       (!has_table(packet->proto) || (port >= traffic->first && port <= traffic->last));
}

static void note(void *ctx, const struct compare_change *change)
{
	struct scene *scene = ctx;

	for (size_t i = 0; i < scene->probes; i++) {
		struct probe *probe = &scene->probe[i];
		uint16_t near = compare_identity_now(scene->engine, &probe->near);
		uint16_t far = compare_identity_now(scene->engine, &probe->packet.peer);

		if (probe->stage != change->stage || !of_slot(change, probe->slot) ||
		    !of_peer(change->far, change->fars, probe->far_was, far) ||
		    (change->nears && !of_peer(change->near, change->nears, probe->near_was, near)))
			continue;
		for (size_t k = 0; k < change->traffics; k++)
			probe->told |= of_traffic(&change->traffic[k], &probe->packet);
	}
}

static void check(struct scene *scene)
{
	for (size_t i = 0; i < scene->probes; i++) {
		const struct probe *probe = &scene->probe[i];
		bool differs = outcome(scene->kernel, probe) != probe->was;
		char near[ADDR_TEXT_MAX], far[ADDR_TEXT_MAX];

		scene->changed += differs;
		if (differs == probe->told || (probe->told && !has_table(probe->packet.proto)))
			continue;
		pw_print(&scene->world);
		printf("# slot %u stage %d near %s far %s proto %u ports %u %u: %s\n", probe->slot,
		       probe->stage, addr_format(&probe->near, near),
		       addr_format(&probe->packet.peer, far), probe->packet.proto,
		       probe->packet.sport, probe->packet.dport,
		       differs ? "changes, nobody said so" : "said to change, and does not");
		fflush(stdout);
		fail();
	}
}

/* --- worlds -------------------------------------------------------------------------------- */

static void settle(struct scene *scene)
{
	pk_settle(scene->kernel, scene->engine);
}

static bool still_there(const struct policy_world *world, const struct probe *probe)
{
	for (unsigned int i = 0; i < PW_PODS; i++)
		if (world->pod[i].present && world->pod[i].slot == probe->slot)
			return true;
	return probe->slot >= PW_HOST_SLOT;
}

/* Endpoints that left are not compared. */
static void drop_gone(struct scene *scene)
{
	size_t n = 0;

	for (size_t i = 0; i < scene->probes; i++)
		if (still_there(&scene->world, &scene->probe[i]))
			scene->probe[n++] = scene->probe[i];
	scene->probes = n;
}

static void one_turn(struct scene *scene)
{
	struct compare *before = compare_begin(scene->engine);
	const struct plan *plan;

	draw(scene, before);
	for (uint32_t i = pw_random(&scene->world, CHANGES) + 1; i; i--)
		pw_change(&scene->world, scene->engine);
	if (pw_chance(&scene->world, 20)) {
		pw_hosts_random(&scene->world, &scene->hosts);
		pw_hosts_tell(&scene->hosts, scene->engine);
	}
	assert_int_equal(engine_build(scene->engine, &plan, NULL), 0);
	drop_gone(scene);
	compare_run(before, scene->engine, note, scene);
	pk_apply(scene->kernel, scene->engine, plan);
	check(scene);
	compare_end(before);
	engine_grace_done(scene->engine, engine_applied_build(scene->engine));
	settle(scene);
}

static void says_what_changes(void **state)
{
	unsigned int changed = 0;
	static struct scene scene;

	(void)state;
	for (uint64_t turn = 0; turn < WORLDS; turn++) {
		memset(&scene, 0, sizeof(scene));
		scene.kernel = pk_new();
		scene.engine = engine_new(NULL);
		pw_init(&scene.world, seed + turn);
		pw_tell(&scene.world, scene.engine);
		pw_hosts_random(&scene.world, &scene.hosts);
		pw_hosts_tell(&scene.hosts, scene.engine);
		settle(&scene);
		for (int i = 0; i < 4; i++)
			one_turn(&scene);
		changed += scene.changed;
		pw_done(&scene.world);
		engine_free(scene.engine);
		pk_free(scene.kernel);
	}
	printf("# %u verdicts changed\n", changed);
	assert_true(changed >= CHANGED_MIN);
}

/* Nothing told, and what is told again as it was. */
static void says_nothing_of_nothing(void **state)
{
	static struct scene scene;

	(void)state;
	for (uint64_t turn = 0; turn < 20; turn++) {
		struct compare *before;
		const struct plan *plan;

		memset(&scene, 0, sizeof(scene));
		scene.kernel = pk_new();
		scene.engine = engine_new(NULL);
		pw_init(&scene.world, seed + turn);
		pw_tell(&scene.world, scene.engine);
		settle(&scene);
		before = compare_begin(scene.engine);
		for (unsigned int i = 0; i < PW_OBJECTS; i++)
			if (scene.world.object[i].object)
				pw_tell_object(&scene.world, scene.engine, i);
		assert_int_equal(engine_build(scene.engine, &plan, NULL), 0);
		draw(&scene, before);
		compare_run(before, scene.engine, note, &scene);
		for (size_t i = 0; i < scene.probes; i++)
			assert_false(scene.probe[i].told);
		compare_end(before);
		pw_done(&scene.world);
		engine_free(scene.engine);
		pk_free(scene.kernel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_changes),
		cmocka_unit_test(says_nothing_of_nothing),
	};

	seed = pw_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
