/* SPDX-License-Identifier: Apache-2.0 */
/* The store as its users see it: watches, asynchronous writes, queries by label. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "datastore/labels.h"
#include "selftests/lib/kube_test.h"
#include "selftests/lib/store_test.h"

static void test_watch_resume(void **state)
{
	struct store_fixture *f = *state;
	struct watch_log log = { 0 }, later = { 0 };
	struct store_key key = test_key("a", "x");
	struct store_watch *watch = test_watch(f->store, &log);
	struct store *other;

	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	assert_true(wait_log(f->store, &log, "|"));
	store_unwatch(watch);
	store_test_put(f->store, "a", "x", "2.0.0.0/8");
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), 0);
	store_test_put(f->store, "a", "y", "3.0.0.0/8");
	/* Another process goes on from where this one stopped. */
	other = store_test_open(&f->test, NULL);
	test_watch_from(other, &later, log.version);
	assert_true(wait_log(other, &later, "+a/y"));
	assert_string_equal(later.text, "~a/x=2.0.0.0/8|-a/x|+a/y=3.0.0.0/8|");
	store_close(other);
}

static void test_watch_labels(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query("a");
	struct watch_log log = { 0 };
	const struct store_watch_args args = { &query, 1, watch_log_fn, &log };
	struct store_watch *watch;
	struct store_list list;
	static const char *const labels[] = { "app=db", "app=web", "app=web,v=2", "app=db" };

	query.labels = "app=web";
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	query.from = list.version;
	assert_int_equal(store_watch(f->store, &args, &watch, NULL), 0);
	store_list_done(&list);
	for (size_t i = 0; i < 4; i++) {
		_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", labels[i]);

		assert_int_equal(i ? store_update(f->store, object, NULL, NULL)
				   : store_create(f->store, object, NULL, NULL),
				 0);
	}
	store_test_put(f->store, "b", "x", "1.0.0.0/8"); /* another namespace */
	assert_true(wait_log(f->store, &log, "-a/x|"));
	assert_string_equal(log.text, "+a/x=1.0.0.0/8|~a/x=1.0.0.0/8|-a/x|");
}

/* An empty folder in the store's place, as a mount that went leaves it: nothing is forgotten, and
 * no other store begins there. */
static void test_watch_missing(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .create = true, .scan = 1 };
	_cleanup_json_ json_t *more = test_set("a", "more", "10.0.0.0/8", NULL);
	_cleanup_free_ char *away = test_path(&f->test, "away");
	struct store *store = store_test_open(&f->test, &options);
	struct timespec begin, now; /* for more than a scan */
	struct watch_log log = { 0 };

	store_test_put(store, "a", "x", "1.0.0.0/8");
	test_watch(store, &log);
	assert_int_equal(rename(f->test.path, away), 0);
	assert_int_equal(mkdir(f->test.path, 0700), 0);
	(void)store_create(store, more, NULL, NULL);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		settle(store);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 3);
	assert_false(log.list_again);
	assert_int_equal(rmdir(f->test.path), 0); /* still empty */
	assert_int_equal(rename(away, f->test.path), 0);
	store_close(store);
}

static void test_watch_trimmed(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .create = true, .history = 4 };
	struct watch_log log = { 0 };
	struct store *store = store_test_open(&f->test, &options);
	struct store_query query = test_query(NULL);
	struct store_list list;

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	for (int i = 0; i < 6; i++) {
		_cleanup_free_ char *net = xasprintf("%d.0.0.0/8", i + 1);

		store_test_put(store, "a", "x", net);
	}
	test_watch_from(store, &log, list.version);
	store_list_done(&list);
	assert_true(wait_log(store, &log, "!"));
	assert_string_equal(log.text, "!");
	/* A version of the future belongs to another store. */
	memset(&log, 0, sizeof(log));
	test_watch_from(store, &log, "1000");
	assert_true(wait_log(store, &log, "!"));
	memset(&log, 0, sizeof(log));
	test_watch_from(store, &log, "nonsense");
	assert_true(wait_log(store, &log, "!"));
	store_close(store);
}

static void test_two_stores(void **state)
{
	struct store_fixture *f = *state;
	struct store *other = store_test_open(&f->test, NULL);
	struct watch_log log = { 0 };

	test_watch(f->store, &log);
	store_test_put(other, "a", "x", "1.0.0.0/8");
	assert_true(wait_log(f->store, &log, "+a/x"));
	store_close(other);
}

static void async_done(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *arg)
{
	int *called = arg;

	(void)writes;
	(void)err;
	assert_int_equal(count, 1);
	*called = result ? result : 1;
}

static bool is_set(void *arg)
{
	return *(int *)arg;
}

static void test_async(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", NULL);
	struct store_write write = { .op = STORE_CREATE, .object = object };
	int called = 0;

	assert_int_equal(store_commit_async(f->store, &write, 1, async_done, &called), 0);
	assert_int_equal(called, 0);
	assert_true(wait_for(f->store, is_set, &called));
	assert_int_equal(called, 1);
	assert_string_equal(test_net(write.stored), "1.0.0.0/8");
	store_writes_done(&write, 1);
}

/* Nothing of it was begun: what is not acceptable is looked at in store_dispatch(). */
static void test_close_gives_up(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = json_object();
	struct store_write write = { .op = STORE_CREATE, .object = object };
	struct store *store = store_test_open(&f->test, NULL);
	int called = 0;

	assert_int_equal(store_commit_async(store, &write, 1, async_done, &called), 0);
	store_close(store);
	assert_int_equal(called, -ECANCELED);
}

/* It is in the store, and its caller has not heard of it yet. */
static void test_close_tells_what_was_done(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", NULL);
	struct store_write write = { .op = STORE_CREATE, .object = object };
	struct store *store = store_test_open(&f->test, NULL);
	struct watch_log log = { 0 };
	int called = 0;

	test_watch(f->store, &log);
	assert_int_equal(store_commit_async(store, &write, 1, async_done, &called), 0);
	assert_true(wait_log(f->store, &log, "+a/x"));
	assert_int_equal(called, 0);
	store_close(store);
	assert_int_equal(called, 1);
	assert_string_equal(test_net(write.stored), "1.0.0.0/8");
	store_writes_done(&write, 1);
}

#define CLOSING 64

/* However far the thread has come: what each one is told is true, and they were made in order. */
static void test_close_between_writes(void **state)
{
	struct store_fixture *f = *state;
	struct store *store = store_test_open(&f->test, NULL);
	struct store_write writes[CLOSING];
	int called[CLOSING] = { 0 };
	bool made = true;

	for (int i = 0; i < CLOSING; i++) {
		_cleanup_free_ char *name = xasprintf("x%d", i);

		writes[i] =
			(struct store_write){ .op = STORE_CREATE,
					      .object = test_set("a", name, "1.0.0.0/8", NULL) };
		store_commit_async(store, &writes[i], 1, async_done, &called[i]);
	}
	store_close(store);
	for (int i = 0; i < CLOSING; i++) {
		_cleanup_json_ json_t *got = NULL;
		struct store_key key;

		assert_int_equal(store_key_of(writes[i].object, &key, NULL), 0);
		made &= called[i] == 1;
		assert_int_equal(called[i], made ? 1 : -ECANCELED);
		assert_int_equal(store_get(f->store, &key, &got, NULL), made ? 0 : -ENOENT);
		json_decref((json_t *)writes[i].object);
	}
	store_writes_done(writes, CLOSING);
}

struct outcome {
	bool called;
	int result;
};

static void outcome_fn(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *arg)
{
	struct outcome *outcome = arg;

	(void)err;
	assert_false(outcome->called);
	*outcome = (struct outcome){ true, result };
	store_writes_done(writes, count);
}

static bool is_called(void *arg)
{
	return ((struct outcome *)arg)->called;
}

static int write_behind(struct store *store, struct store_write *writes, size_t count)
{
	struct outcome outcome = { 0 };

	assert_int_equal(store_commit_async(store, writes, count, outcome_fn, &outcome), 0);
	assert_false(outcome.called);
	assert_true(wait_for(store, is_called, &outcome));
	return outcome.result;
}

/* The same outcomes as of store_commit(), and no edit by hand is written over. */
static void test_async_outcomes(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *x = test_set("a", "x", "1.0.0.0/8", NULL), *got = NULL;
	_cleanup_json_ json_t *y = test_set("a", "y", "1.0.0.0/8", NULL), *bad = json_object();
	struct store_key key = test_key("a", "x");
	struct watch_log log = { 0 };

	test_watch(f->store, &log);
	assert_int_equal(write_behind(f->store,
				      (struct store_write[]){ { .op = STORE_CREATE, .object = x } },
				      1),
			 0);
	assert_true(wait_log(f->store, &log, "+a/x=1.0.0.0/8|"));
	assert_int_equal(write_behind(f->store,
				      (struct store_write[]){ { .op = STORE_CREATE, .object = y },
							      { .op = STORE_CREATE, .object = x } },
				      2),
			 -EEXIST);
	assert_int_equal(
		write_behind(f->store,
			     (struct store_write[]){ { .op = STORE_CREATE, .object = bad } }, 1),
		-EINVAL);
	test_write(&f->test, "store/objects/projectcalico.org/NetworkSet/a/x.json",
		   "{\"apiVersion\": \"projectcalico.org/v3\", \"kind\": \"NetworkSet\", "
		   "\"metadata\": {\"name\": \"x\", \"namespace\": \"a\"}, "
		   "\"spec\": {\"nets\": [\"7.0.0.0/8\"]}}");
	assert_int_equal(write_behind(f->store,
				      (struct store_write[]){ { .op = STORE_UPDATE, .object = y } },
				      1),
			 -ENOENT);
	assert_int_equal(write_behind(f->store,
				      (struct store_write[]){ { .op = STORE_DELETE,
								.key = key,
								.expect = test_version(x) } },
				      1),
			 0);
	assert_non_null(strstr(log.text, "~a/x=7.0.0.0/8|"));
	assert_true(wait_log(f->store, &log, "-a/x"));
	assert_int_equal(store_get(f->store, &key, &got, NULL), -ENOENT);
}

/* --- label selectors of queries (Kubernetes documentation, "Labels and Selectors") --- */

static void test_label_queries(void **state)
{
	static const struct {
		const char *selector;
		bool match;
	} cases[] = {
		{ "", true },
		{ "app=web", true },
		{ "app==web", true },
		{ "app = web , tier = 1", true },
		{ "app!=web", false },
		{ "app!=db", true },
		{ "none!=db", true },
		{ "app", true },
		{ "none", false },
		{ "!none", true },
		{ "!app", false },
		{ "app in (db, web)", true },
		{ "app in (db)", false },
		{ "app notin (db)", true },
		{ "none notin (db)", true },
		{ "app notin (web)", false },
		{ "a.b/c=d_e", true },
		{ "app=", false },
		{ "empty=", true },
	};
	static const char *const wrong[] = {
		"=", "app in", "app in (a", "a b", "a,,b", "app in a)"
	};
	_cleanup_json_ json_t *labels = json_pack("{s:s, s:s, s:s, s:s}", "app", "web", "tier", "1",
						  "a.b/c", "d_e", "empty", "");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = { 0 };

		if (query_labels_check(cases[i].selector, &err) < 0)
			fail_msg("%s", err.text);
		if (query_labels_match(cases[i].selector, labels) != cases[i].match)
			fail_msg("%s", cases[i].selector);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct err err = { 0 };

		if (query_labels_check(wrong[i], &err) != -EINVAL)
			fail_msg("%s", wrong[i]);
		assert_non_null(strstr(err.text, "expected"));
	}
}

#define CASE(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_watch_resume),
		CASE(test_watch_labels),
		CASE(test_watch_missing),
		CASE(test_watch_trimmed),
		CASE(test_two_stores),
		CASE(test_async),
		CASE(test_close_gives_up),
		CASE(test_close_tells_what_was_done),
		CASE(test_close_between_writes),
		CASE(test_async_outcomes),

		cmocka_unit_test(test_label_queries),
		/* The others are of its log, of its thread, or of edits by hand. */
		KUBE_CASE(test_watch_resume),
		KUBE_CASE(test_watch_labels),
		KUBE_CASE(test_two_stores),
		KUBE_CASE(test_async),
		KUBE_CASE(test_close_gives_up),
		KUBE_CASE(test_close_between_writes),
	};

	kube_only();
	return cmocka_run_group_tests(tests, kube_group_setup, kube_group_teardown);
}
