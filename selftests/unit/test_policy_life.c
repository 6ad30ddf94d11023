/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine over time: restarts, grace, what does not fit. MARGAY_SEED repeats a run.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "policy/front.h"
#include "selftests/lib/policy_kernel.h"
#include "selftests/lib/policy_world.h"

#define PROBES 32
#define REFUSED_MIN 6 /* builds that do not fit, so that a test has seen what it is about */
#define TURNS_MAX 4000

static uint64_t seed;

struct rig {
	struct policy_world world;
	struct policy_kernel *kernel;
	struct engine *engine;
};

static void rig_init(struct rig *rig, uint64_t turn, const struct engine_limits *limits)
{
	rig->kernel = pk_new();
	rig->engine = engine_new(limits);
	pw_init(&rig->world, seed + turn);
}

/* With a world of its own in force. */
static void rig_settle(struct rig *rig, uint64_t turn, const struct engine_limits *limits)
{
	rig_init(rig, turn, limits);
	pw_tell(&rig->world, rig->engine);
	pk_settle(rig->kernel, rig->engine);
}

static void rig_done(struct rig *rig)
{
	pw_done(&rig->world);
	engine_free(rig->engine);
	pk_free(rig->kernel);
}

static void take(struct rig *rig, const struct plan *plan)
{
	pk_apply(rig->kernel, rig->engine, plan);
	engine_grace_done(rig->engine, engine_applied_build(rig->engine));
}

static void restart(struct rig *rig)
{
	engine_free(rig->engine);
	rig->engine = pk_restart(rig->kernel);
}

static struct pk_packet packet_of(const struct pw_case *c)
{
	return (struct pk_packet){
		.peer = c->direction == POLICY_IN ? c->packet.src : c->packet.dst,
		.proto = c->packet.proto,
		.sport = c->packet.sport,
		.dport = c->packet.dport,
		.icmp_type = c->packet.icmp_type,
		.icmp_code = c->packet.icmp_code,
	};
}

static enum mg_stage stage_of(const struct pw_case *c)
{
	return c->direction == POLICY_IN ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT;
}

static bool judged(const struct rig *rig, const struct pw_view *view, const struct pw_case *c)
{
	struct pk_packet packet = packet_of(c);
	uint32_t slot = rig->world.pod[view->index[c->pod]].slot;

	return pk_allows(rig->kernel, pk_judge(rig->kernel, slot, stage_of(c), &packet));
}

static bool wanted(const struct pw_view *view, const struct pw_case *c)
{
	return oracle_allows(&view->oracle, &view->pod[c->pod], c->direction, &c->packet);
}

static void compare(struct rig *rig, unsigned int cases)
{
	struct pw_view view;
	struct pw_case c;

	pw_view(&rig->world, &view);
	for (unsigned int i = 0; i < cases; i++) {
		if (!pw_case(&rig->world, &view, &c) || judged(rig, &view, &c) == wanted(&view, &c))
			continue;
		pw_case_print(&rig->world, &view, &c);
		fflush(stdout);
		fail();
	}
}

/* --- restart ------------------------------------------------------------------------------- */

static void restart_writes_nothing(void **state)
{
	const struct plan *plan;
	struct rig rig;

	(void)state;
	for (uint64_t turn = 0; turn < 60; turn++) {
		rig_settle(&rig, turn, NULL);
		for (uint64_t i = turn % 10 * 3; i; i--) {
			pw_change(&rig.world, rig.engine);
			pk_settle(rig.kernel, rig.engine);
		}
		restart(&rig);
		pw_tell(&rig.world, rig.engine);
		assert_int_equal(engine_build(rig.engine, &plan, NULL), 0);
		assert_true(plan->empty);
		take(&rig, plan);
		compare(&rig, 100);
		/* And life goes on. */
		pw_change(&rig.world, rig.engine);
		pk_settle(rig.kernel, rig.engine);
		compare(&rig, 100);
		rig_done(&rig);
	}
}

struct probe {
	struct pw_case c;
	bool before;
	bool between; /* as pw_between() says: the peer's address is new, the rest is not yet */
};

/* Probes of endpoints that were there before and are now; with the verdict in force. */
static size_t make_probes(struct rig *rig, const struct pw_view *view, const struct pw_pod *before,
			  struct probe *probe)
{
	size_t count = 0;

	for (unsigned int i = 0; i < 8 * PROBES && count < PROBES; i++) {
		unsigned int pod;

		if (!pw_case(&rig->world, view, &probe[count].c))
			continue;
		pod = view->index[probe[count].c.pod];
		if (!before[pod].present || !before[pod].slot ||
		    before[pod].ip_count != rig->world.pod[pod].ip_count)
			continue;
		probe[count].before = judged(rig, view, &probe[count].c);
		probe[count].between = probe[count].before;
		count++;
	}
	return count;
}

static void check_probes(const struct rig *rig, const struct pw_view *view,
			 const struct probe *probe, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool allowed = judged(rig, view, &probe[i].c);

		if (allowed == probe[i].before || allowed == probe[i].between ||
		    allowed == wanted(view, &probe[i].c))
			continue;
		pw_case_print(&rig->world, view, &probe[i].c);
		fflush(stdout);
		fail();
	}
}

static void apply_watched(struct rig *rig, const struct plan *plan, const struct pw_view *view,
			  const struct probe *probe, size_t count)
{
	for (int phase = 0; phase < PLAN_PHASES; phase++) {
		for (size_t i = 0; i < plan->row_count[phase]; i++) {
			pk_write_row(rig->kernel, rig->engine, &plan->row[phase][i]);
			check_probes(rig, view, probe, count);
		}
		for (size_t i = 0; phase == PLAN_MOVE && i < plan->move_count; i++) {
			pk_move(rig->kernel, &plan->move[i]);
			check_probes(rig, view, probe, count);
		}
		if (phase == PLAN_COMMIT && plan->commits)
			rig->kernel->commit = plan->commit;
	}
	engine_applied(rig->engine);
}

/* Of a pod that is its own peer the oracle cannot say old and new of one address at once. */
static void between_probes(const struct policy_world *before, const struct pw_view *view,
			   struct probe *probe, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (addr_cmp(&probe[i].c.packet.src, &probe[i].c.packet.dst))
			probe[i].between = pw_between(before, view, &probe[i].c);
}

/* One thing changed while the agent was away: still no verdict but the old and the new one, each
 * end of a packet by itself (design: labels take effect address by address, rules at once). */
static void restart_after_a_change(void **state)
{
	struct probe probe[PROBES];
	const struct plan *plan;
	struct pw_view view;
	struct rig rig;

	(void)state;
	for (uint64_t turn = 0; turn < 150; turn++) {
		struct policy_world before;
		size_t count;

		rig_settle(&rig, 5000 + turn, NULL);
		pw_copy(&rig.world, &before);
		pw_change(&rig.world, NULL);
		restart(&rig);
		pw_tell(&rig.world, rig.engine);
		for (uint32_t i = 0; i < PW_PODS; i++)
			if (before.pod[i].present &&
			    (!rig.world.pod[i].present || !rig.world.pod[i].slot))
				engine_endpoint_del(rig.engine, i + 1);
		pw_view(&rig.world, &view);
		count = make_probes(&rig, &view, before.pod, probe);
		between_probes(&before, &view, probe, count);
		assert_int_equal(engine_build(rig.engine, &plan, NULL), 0);
		apply_watched(&rig, plan, &view, probe, count);
		engine_grace_done(rig.engine, engine_applied_build(rig.engine));
		pk_settle(rig.kernel, rig.engine);
		if (rig.kernel->addrs.count <= 2 * PW_PODS)
			compare(&rig, 100);
		pw_done(&before);
		rig_done(&rig);
	}
}

/* --- grace --------------------------------------------------------------------------------- */

/* A program that had read the commit, the slot and the address before a change. */
struct reader {
	struct pk_packet packet;
	uint32_t set;
	uint16_t identity;
	bool allowed;
};

static bool read_on(struct policy_kernel *kernel, const struct reader *reader)
{
	struct pk_packet packet = reader->packet;
	struct mg_slot slot = kernel->slot[PK_SLOTS - 1];
	struct pk_rows *addrs = &kernel->addrs;
	uint32_t column = kernel->commit_row[kernel->commit].column;
	bool allowed;

	/* The rest of the way goes through set and identity as read then. */
	assert_true(addrs->count < PK_ROWS);
	packet.peer = (union mg_addr){ .b = { 0x20, 1, [15] = 77 } };
	addrs->row[addrs->count++] =
		(struct pk_row){ { .len = MG_ADDR_BITS, .addr = packet.peer }, reader->identity };
	kernel->slot[PK_SLOTS - 1].set[column][MG_STAGE_WORKLOAD_IN] = reader->set;
	allowed = pk_allows(kernel, pk_judge(kernel, PK_SLOTS - 1, MG_STAGE_WORKLOAD_IN, &packet));
	kernel->slot[PK_SLOTS - 1] = slot;
	addrs->count--;
	return allowed;
}

static size_t make_readers(struct rig *rig, struct reader *reader)
{
	struct pw_view view;
	struct pw_case c;
	size_t count = 0;

	pw_view(&rig->world, &view);
	for (unsigned int i = 0; i < 8 * PROBES && count < PROBES; i++) {
		struct reader *r = &reader[count];

		if (!pw_case(&rig->world, &view, &c))
			continue;
		r->packet = packet_of(&c);
		r->set = pk_set(rig->kernel, rig->world.pod[view.index[c.pod]].slot, stage_of(&c));
		r->identity = pk_identity(rig->kernel, &r->packet.peer);
		r->allowed = judged(rig, &view, &c);
		count++;
	}
	return count;
}

/* late: graces end meanwhile that began before the changes. */
static void readers_go_on(uint64_t from, bool late)
{
	struct reader reader[PROBES];
	const struct plan *plan;
	struct rig rig;

	rig_settle(&rig, from, NULL);
	for (int round = 0; round < 6; round++) {
		uint64_t begun = engine_applied_build(rig.engine);
		size_t count = make_readers(&rig, reader);

		for (int change = 0; change < 6; change++) {
			pw_change(&rig.world, rig.engine);
			/* Without grace it may say that no column is free. */
			if (engine_build(rig.engine, &plan, NULL) == -EAGAIN)
				break;
			pk_apply(rig.kernel, rig.engine, plan);
			if (late)
				engine_grace_done(rig.engine, begun);
			for (size_t i = 0; i < count; i++)
				assert_int_equal(read_on(rig.kernel, &reader[i]),
						 reader[i].allowed);
		}
		engine_grace_done(rig.engine, engine_applied_build(rig.engine));
		pk_settle(rig.kernel, rig.engine);
		compare(&rig, 60);
	}
	rig_done(&rig);
}

static void nothing_is_reused_before_grace(void **state)
{
	(void)state;
	for (uint64_t turn = 0; turn < 60; turn++)
		readers_go_on(9000 + turn, false);
}

/* A grace that began before a commit says nothing of what that commit replaced. */
static void late_grace_spares_what_came_after(void **state)
{
	(void)state;
	for (uint64_t turn = 0; turn < 60; turn++)
		readers_go_on(15000 + turn, true);
}

/* Half a plan was written, then the kernel refused: the same plan comes again. */
static void a_broken_plan_is_written_again(void **state)
{
	const struct plan *plan, *again;
	struct rig rig;

	(void)state;
	for (uint64_t turn = 0; turn < 20; turn++) {
		rig_settle(&rig, 11000 + turn, NULL);
		pw_change(&rig.world, rig.engine);
		assert_int_equal(engine_build(rig.engine, &plan, NULL), 0);
		for (size_t i = 0; i < plan->row_count[PLAN_FILL]; i++)
			pk_write_row(rig.kernel, rig.engine, &plan->row[PLAN_FILL][i]);
		for (size_t i = 0; i < plan->row_count[PLAN_PREPARE] / 2; i++)
			pk_write_row(rig.kernel, rig.engine, &plan->row[PLAN_PREPARE][i]);
		pw_change(&rig.world, rig.engine);
		assert_int_equal(engine_build(rig.engine, &again, NULL), 0);
		assert_ptr_equal(again, plan);
		pk_apply(rig.kernel, rig.engine, again);
		engine_grace_done(rig.engine, engine_applied_build(rig.engine));
		pk_settle(rig.kernel, rig.engine);
		compare(&rig, 100);
		rig_done(&rig);
	}
}

/* --- room ---------------------------------------------------------------------------------- */

static void expect_unfit(const struct engine_limits *limits, const char *map)
{
	const struct plan *plan;
	unsigned int refused = 0;
	struct pw_view view;
	struct pw_case c;
	struct rig rig;

	for (uint64_t turn = 0; turn < 40 || refused < REFUSED_MIN; turn++) {
		struct engine_stats stats;
		struct err err = {};
		int r;

		assert_true(turn < TURNS_MAX);
		rig_init(&rig, 12000 + turn, limits);
		pw_tell(&rig.world, rig.engine);
		r = engine_build(rig.engine, &plan, &err);
		take(&rig, plan);
		engine_stats(rig.engine, &stats);
		assert_true(!limits->pages || stats.used[PLAN_PAGE] <= limits->pages);
		assert_true(!limits->nets || rig.kernel->nets.count <= limits->nets);
		if (!r) {
			compare(&rig, 100);
			rig_done(&rig);
			continue;
		}
		refused++;
		assert_int_equal(r, -ENOSPC);
		assert_non_null(strstr(err.text, map));
		assert_non_null(strstr(err.text, "NetworkPolicy"));
		/* A new endpoint whose policy does not fit gets nothing through; others are open
		 * only where no policy applies. */
		pw_view(&rig.world, &view);
		for (unsigned int i = 0; i < 200; i++)
			if (pw_case(&rig.world, &view, &c) && judged(&rig, &view, &c))
				assert_true(wanted(&view, &c));
		/* With fewer policies it fits, and is right. */
		for (unsigned int i = PW_FIRST_POLICY; i < PW_OBJECTS; i++) {
			const struct object *object = rig.world.object[i].object;

			if (!object)
				continue;
			front_del(rig.engine, object->kind, object->ns, object->name);
			pw_object_set(&rig.world, i, NULL);
		}
		pk_settle(rig.kernel, rig.engine);
		compare(&rig, 100);
		rig_done(&rig);
	}
}

static void what_does_not_fit_changes_nothing(void **state)
{
	(void)state;
	expect_unfit(&(struct engine_limits){ .pages = 26 }, "mg_pages: ");
	expect_unfit(&(struct engine_limits){ .nets = 6 }, "mg_nets: ");
}

/* Old verdicts stay where a change does not fit. */
static void expect_old_verdicts(const struct engine_limits *limits)
{
	struct probe probe[PROBES];
	const struct plan *plan;
	unsigned int refused = 0;
	struct pw_view view;
	struct rig rig;

	for (uint64_t turn = 0; turn < 200 || refused < REFUSED_MIN; turn++) {
		size_t count;

		assert_true(turn < TURNS_MAX);
		rig_init(&rig, 15000 + turn, limits);
		for (unsigned int i = PW_FIRST_POLICY + 3; i < PW_OBJECTS; i++)
			pw_object_set(&rig.world, i, NULL);
		pw_tell(&rig.world, rig.engine);
		if (engine_build(rig.engine, &plan, NULL)) {
			rig_done(&rig);
			continue;
		}
		take(&rig, plan);
		pk_settle(rig.kernel, rig.engine);
		pw_view(&rig.world, &view);
		count = make_probes(&rig, &view, rig.world.pod, probe);
		for (unsigned int i = PW_FIRST_POLICY + 3; i < PW_OBJECTS; i++) {
			pw_object_set(&rig.world, i, pw_random_object(&rig.world, i));
			pw_tell_object(&rig.world, rig.engine, i);
		}
		if (engine_build(rig.engine, &plan, NULL) == -ENOSPC) {
			refused++;
			assert_false(plan->commits);
			take(&rig, plan);
			for (size_t i = 0; i < count; i++)
				assert_int_equal(judged(&rig, &view, &probe[i].c), probe[i].before);
		}
		rig_done(&rig);
	}
}

static void refused_change_keeps_the_old(void **state)
{
	(void)state;
	expect_old_verdicts(&(struct engine_limits){ .pages = 70, .classes = 60 });
	expect_old_verdicts(&(struct engine_limits){ .nets = 9 });
	expect_old_verdicts(&(struct engine_limits){ .identities = 12 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restart_writes_nothing),
		cmocka_unit_test(restart_after_a_change),
		cmocka_unit_test(nothing_is_reused_before_grace),
		cmocka_unit_test(late_grace_spares_what_came_after),
		cmocka_unit_test(a_broken_plan_is_written_again),
		cmocka_unit_test(what_does_not_fit_changes_nothing),
		cmocka_unit_test(refused_change_keeps_the_old),
	};

	seed = pw_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
