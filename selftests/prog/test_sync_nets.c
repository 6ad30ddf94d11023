/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes inside prefixes in the kernel's tries: a lookup of one that is not there finds the one
 * around it. mg_nets by sync/plan.h from IPPools, mg_source by sync/sync.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "abi/ident.h"
#include "base/arena.h"
#include "base/inet.h"
#include "dataplane/control.h"
#include "dataplane/load.h"
#include "dataplane/pages.h"
#include "policy/engine.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/ok.h"
#include "selftests/lib/sandbox.h"
#include "state/state.h"
#include "sync/plan.h"
#include "sync/sync.h"

#define OUTER "10.244.0.0/16"
#define INNER "10.244.128.0/17"

struct fixture {
	struct err err;
	struct dp_config config;
	char root[PATH_MAX];
	struct dp *dp;
	struct dp_pages *pages;
	struct mg_control *control;
	struct engine *engine;
	struct state *state;
	struct sync *sync;
};

static void start(struct fixture *f)
{
	OK(f, dp_open(&f->config, &f->dp, &f->err));
	OK(f, dp_pages_open(f->root, dp_get_map(f->dp, "mg_pages"), &f->pages, &f->err));
	OK(f, dp_control_open(dp_get_map(f->dp, "mg_control"), &f->control, &f->err));
	f->engine = engine_new(NULL);
	f->state = state_new("n1", f->engine);
	f->sync = sync_new_dp(f->dp);
	sync_allow_removal(f->sync);
}

static void stop(struct fixture *f)
{
	sync_free(f->sync);
	state_free(f->state);
	engine_free(f->engine);
	dp_pages_close(f->pages);
	dp_control_close(f->control);
	dp_close(f->dp);
}

/* The programs are loaded once: what begins after the first one finds them pinned. */
static struct fixture only;

static int enter(void **state)
{
	(void)state;
	only.config = dp_config_default();
	only.config.root = only.root;
	OK(&only, sandbox_enter(only.root));
	start(&only);
	stop(&only);
	return 0;
}

static int setup(void **state)
{
	*state = &only;
	start(&only);
	assert_true(dp_adopted(only.dp));
	return 0;
}

static int remove_row(const void *key, const void *value, void *map)
{
	(void)value;
	return dp_map_delete(map, key);
}

/* Tries are walked key by key, so that a row may go meanwhile. */
static void empty(struct fixture *f, const char *name)
{
	struct dp_map map = *dp_get_map(f->dp, name);
	__u64 fill;

	OK(f, dp_map_each(&map, remove_row, &map));
	OK(f, dp_map_fill(&map, &fill));
	assert_int_equal(fill, 0);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	empty(f, "mg_nets");
	empty(f, "mg_source");
	stop(f);
	return 0;
}

static struct mg_prefix prefix(const char *text)
{
	struct mg_prefix out;

	assert_int_equal(prefix_parse(text, true, &out), 0);
	return out;
}

/* --- mg_nets ------------------------------------------------------------------------------- */

static void pool(struct fixture *f, const char *name, const char *cidr, bool nat)
{
	_cleanup_free_ char *yaml = xasprintf("apiVersion: projectcalico.org/v3\n"
					      "kind: IPPool\n"
					      "metadata: {name: %s}\n"
					      "spec: {cidr: %s, natOutgoing: %s}\n",
					      name, cidr, nat ? "true" : "false");
	_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_LENIENT);

	state_object_set(f->state, object);
}

static void no_pool(struct fixture *f, const char *name)
{
	state_object_del(f->state, KIND_IP_POOL, "", name);
}

/* Brings it into force; how many rows of mg_nets and mg_addrs that wrote or removed. */
static unsigned int bring(struct fixture *f)
{
	const struct plan_target target = { .dp = f->dp,
					    .pages = f->pages,
					    .control = f->control,
					    .engine = f->engine,
					    .state = f->state,
					    .removal = true };
	struct plan_report report;
	const struct plan *plan;

	OK(f, engine_build(f->engine, &plan, &f->err));
	OK(f, plan_write(&target, plan, &report, &f->err));
	engine_applied(f->engine);
	state_touched_done(f->state);
	engine_grace_done(f->engine, engine_applied_build(f->engine));
	return report.moved;
}

struct wanted {
	const char *cidr; /* NULL: the end */
	bool nat;
};

struct check {
	const struct wanted *wanted;
	unsigned int seen;
};

static int check_row(const void *key, const void *value, void *data)
{
	struct check *check = data;
	const struct mg_ident *row = value;

	for (const struct wanted *w = check->wanted; w->cidr; w++) {
		struct mg_prefix want = prefix(w->cidr);

		if (memcmp(&want, key, sizeof(want)) != 0)
			continue;
		assert_int_equal(row->identity, MG_IDENT_UNKNOWN4);
		assert_int_equal(!!(row->flags & MG_ADDR_NAT_OUT), w->nat);
		check->seen++;
		return 0;
	}
	fail_msg("a row that nobody wants");
	return 0;
}

#define assert_rows(f, ...) rows_are(f, (const struct wanted[]){ __VA_ARGS__{ NULL, false } })

static void rows_are(struct fixture *f, const struct wanted *wanted)
{
	struct check check = { .wanted = wanted };
	unsigned int count = 0;

	OK(f, dp_map_each(dp_get_map(f->dp, "mg_nets"), check_row, &check));
	while (wanted[count].cidr)
		count++;
	assert_int_equal(check.seen, count);
}

/* What the programs find for an address without a row of its own. */
static bool translated(struct fixture *f, const char *addr)
{
	struct mg_prefix key = prefix(addr);
	struct mg_ident row;

	OK(f, dp_map_get(dp_get_map(f->dp, "mg_nets"), &key, &row));
	return row.flags & MG_ADDR_NAT_OUT;
}

/* An equal pool inside another has a row of its own: the outer one changes alone. */
static void inner_pool_of_equal_row(void **state)
{
	struct fixture *f = *state;

	pool(f, "outer", OUTER, false);
	bring(f);
	pool(f, "inner", INNER, false);
	assert_int_equal(bring(f), 1);
	assert_rows(f, { OUTER, false }, { INNER, false }, );
	pool(f, "outer", OUTER, true);
	assert_int_equal(bring(f), 1);
	assert_rows(f, { OUTER, true }, { INNER, false }, );
	assert_true(translated(f, "10.244.1.1/32"));
	assert_false(translated(f, "10.244.129.1/32"));
	no_pool(f, "inner");
	bring(f);
	assert_rows(f, { OUTER, true }, );
	assert_true(translated(f, "10.244.129.1/32"));
	no_pool(f, "outer");
	bring(f);
	assert_rows(f, );
}

static void outer_pool_comes_later_and_goes_first(void **state)
{
	struct fixture *f = *state;

	pool(f, "inner", INNER, true);
	bring(f);
	pool(f, "outer", OUTER, true);
	bring(f);
	assert_rows(f, { OUTER, true }, { INNER, true }, );
	no_pool(f, "outer");
	bring(f);
	assert_rows(f, { INNER, true }, );
	no_pool(f, "inner");
	bring(f);
	assert_rows(f, );
}

/* What is as it should be is not written again, neither by this agent nor by the next. */
static void restart_between(void **state)
{
	struct fixture *f = *state;

	pool(f, "outer", OUTER, false);
	pool(f, "inner", INNER, false);
	assert_int_equal(bring(f), 2);
	state_touch_all(f->state);
	assert_int_equal(bring(f), 0);
	stop(f);
	start(f);
	pool(f, "inner", INNER, false);
	pool(f, "outer", OUTER, false);
	assert_int_equal(bring(f), 0);
	assert_rows(f, { OUTER, false }, { INNER, false }, );
	pool(f, "outer", OUTER, true);
	no_pool(f, "inner");
	assert_int_equal(bring(f), 2);
	assert_rows(f, { OUTER, true }, );
}

/* Removing a row that another program took away already is done. */
static void row_that_is_gone(void **state)
{
	struct fixture *f = *state;
	struct mg_prefix inner = prefix(INNER);

	pool(f, "outer", OUTER, false);
	pool(f, "inner", INNER, true);
	bring(f);
	OK(f, dp_map_delete(dp_get_map(f->dp, "mg_nets"), &inner));
	no_pool(f, "inner");
	assert_int_equal(bring(f), 0);
	assert_rows(f, { OUTER, false }, );
}

/* --- mg_source ----------------------------------------------------------------------------- */

static void want_sources(struct fixture *f, const char *const *cidrs)
{
	struct table table;
	struct sync_status status;
	__u32 slot = 7; /* the same everywhere: rows differ by their prefix alone */

	table_init(&table, "mg_source", sizeof(struct mg_prefix), sizeof(slot));
	for (; *cidrs; cidrs++) {
		struct mg_prefix key = prefix(*cidrs);

		table_add(&table, &key, &slot);
	}
	assert_int_equal(sync_want(f->sync, &table), 0);
	OK(f, sync_run(f->sync, 0, &status));
}

static void assert_sources(struct fixture *f, __u64 count, const char *cidr)
{
	const struct dp_map *map = dp_get_map(f->dp, "mg_source");
	struct mg_prefix key = prefix(cidr);
	__u64 fill;
	__u32 slot;

	OK(f, dp_map_fill(map, &fill));
	assert_int_equal(fill, count);
	OK(f, dp_map_get(map, &key, &slot));
}

static void sources_inside_sources(void **state)
{
	const char *const both[] = { OUTER, INNER, NULL };
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 2; i++) {
		want_sources(f, (const char *const[]){ both[i], NULL });
		assert_sources(f, 1, both[i]);
		want_sources(f, both);
		assert_sources(f, 2, "10.244.0.0/16");
		sync_forget(f->sync);
		want_sources(f, (const char *const[]){ both[!i], NULL });
		assert_sources(f, 1, both[!i]);
		stop(f);
		start(f);
		want_sources(f, both);
		assert_sources(f, 2, "10.244.128.0/17");
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(inner_pool_of_equal_row), CASE(outer_pool_comes_later_and_goes_first),
		CASE(restart_between),	       CASE(row_that_is_gone),
		CASE(sources_inside_sources),
	};

	return cmocka_run_group_tests_name("sync_nets", tests, enter, NULL);
}
