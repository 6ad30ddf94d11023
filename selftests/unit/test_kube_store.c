/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes API as datastore: lists in pages, watches that go on, writes. What every store
 * does is tested by test_datastore and test_datastore_watch, connections and credentials by
 * test_kube_http.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "datastore/follow.h"
#include "selftests/lib/kube_test.h"

#define MANY 501 /* one more than a page */

/* --- lists --- */

static int put_many(struct store *store)
{
	struct store_write writes[MANY];
	int r;

	for (int i = 0; i < MANY; i++) {
		_cleanup_free_ char *name = xasprintf("x%03d", i);

		writes[i] =
			(struct store_write){ .op = STORE_CREATE,
					      .object = test_set("a", name, "1.0.0.0/8", NULL) };
	}
	r = store_commit(store, writes, MANY, NULL);
	store_writes_done(writes, MANY);
	for (int i = 0; i < MANY; i++)
		json_decref((json_t *)writes[i].object);
	return r;
}

static void test_pages(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query(NULL);
	struct store_list list;

	assert_int_equal(put_many(f->store), 0);
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), MANY);
	store_list_done(&list);
	assert_int_equal(kube_requests(f, "/networksets?limit="), 1);
	assert_int_equal(kube_requests(f, "/networksets?continue="), 1);
	/* What nobody reads is not kept. */
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_null(json_at(json_array_get(list.items, 0), "metadata.managedFields"));
	store_list_done(&list);
	/* A list whose pages have expired on the way is to be made anew. */
	kube_control(f, "\"faults\": [{\"match\": \"continue=\", \"times\": 1, \"status\": 410}]");
	assert_true(store_unreachable(store_list(f->store, &query, 1, &list, NULL)));
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	store_list_done(&list);
}

static void test_cut_answer(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query(NULL);
	struct store_list list;
	struct err err = { 0 };
	int r;

	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	kube_control(f, "\"faults\": [{\"match\": \"limit=\", \"times\": 1, \"cut\": \"half\"}]");
	r = store_list(f->store, &query, 1, &list, &err);
	assert_true(store_unreachable(r));
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 1);
	store_list_done(&list);
	/* Cut before it began, a read is made twice. */
	kube_control(f, "\"faults\": [{\"match\": \"GET\", \"times\": 1, \"cut\": \"none\"}]");
	assert_int_equal(kube_try_get(f->store, NULL), 0);
}

/* --- watches --- */

static void drop(const struct store_fixture *f, const char *more)
{
	_cleanup_free_ char *text = xasprintf("\"drop\": %u%s", kube_number(), more);

	kube_control(f, text);
	(void)kube_try_get(f->store, NULL); /* it looks at that with each request */
}

static void test_watch_goes_on(void **state)
{
	struct store_fixture *f = *state;
	struct store *other = store_test_open(&f->test, NULL);
	struct watch_log log = { 0 };

	kube_control(f, "\"faults\": [{\"match\": \"watch=true\", \"times\": 1, "
			"\"cut\": \"half\"}]");
	test_watch(f->store, &log);
	settle(f->store);
	store_test_put(other, "a", "x", "1.0.0.0/8");
	store_test_put(other, "a", "x", "2.0.0.0/8");
	assert_true(wait_log(f->store, &log, "=2.0.0.0/8|"));
	assert_string_equal(log.text, "+a/x=1.0.0.0/8|~a/x=2.0.0.0/8|");
	drop(f, "");
	store_test_put(other, "a", "y", "3.0.0.0/8");
	assert_true(wait_log(f->store, &log, "+a/y=3.0.0.0/8|"));
	assert_string_equal(log.text, "+a/x=1.0.0.0/8|~a/x=2.0.0.0/8|+a/y=3.0.0.0/8|");
	assert_int_equal(kube_requests(f, "networksets?limit="), 1);
	store_close(other);
}

struct asked {
	const struct store_fixture *f;
	const char *text;
};

static bool is_asked(void *arg)
{
	const struct asked *asked = arg;

	return kube_requests(asked->f, asked->text);
}

static void test_watch_bookmarks(void **state)
{
	struct store_fixture *f = *state;
	struct store *other = store_test_open(&f->test, NULL);
	_cleanup_json_ json_t *tier =
		json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "projectcalico.org/v3", "kind",
			  "Tier", "metadata", "name", "t");
	_cleanup_json_ json_t *stored = NULL;
	_cleanup_free_ char *mark = NULL, *from = NULL;
	struct watch_log log = { 0 };

	test_watch(f->store, &log);
	settle(f->store);
	/* Of other kinds nothing is told but the version they raise. */
	assert_int_equal(store_create(other, tier, &stored, NULL), 0);
	mark = xasprintf("BOOKMARK networksets %s", test_version(stored));
	from = xasprintf("resourceVersion=%s", test_version(stored));
	assert_true(wait_for(f->store, is_asked, &(struct asked){ f, mark }));
	drop(f, "");
	assert_true(wait_for(f->store, is_asked, &(struct asked){ f, from }));
	assert_string_equal(log.text, "");
	store_close(other);
}

static void test_watch_expired(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_free_ char *more = xasprintf(", \"compact\": %u", kube_number());
	struct store *other = store_test_open(&f->test, NULL);
	struct watch_log log = { 0 };
	struct store_query query = test_query(NULL);
	struct store_list list;

	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	store_test_put(other, "a", "x", "1.0.0.0/8");
	drop(f, more);
	test_watch_from(f->store, &log, list.version);
	assert_true(wait_log(f->store, &log, "!"));
	assert_string_equal(log.text, "!");
	/* Of another life of the cluster, or nonsense. */
	memset(&log, 0, sizeof(log));
	test_watch_from(f->store, &log, "100000000");
	assert_true(wait_log(f->store, &log, "!"));
	memset(&log, 0, sizeof(log));
	test_watch_from(f->store, &log, "nonsense");
	assert_true(wait_log(f->store, &log, "!"));
	store_list_done(&list);
	store_close(other);
}

/* No event and no bookmark for longer than they are apart: the connection is made anew. */
static void test_watch_silent(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .scan = 3 }; /* bookmarks come ten times as often */
	struct store *other = store_test_open(&f->test, NULL);
	struct store *store = store_test_open(&f->test, &options);
	struct watch_log log = { 0 };

	kube_control(f, "\"faults\": [{\"match\": \"watch=true\", \"times\": 1, "
			"\"cut\": \"silent\"}]");
	test_watch(store, &log);
	settle(store);
	store_test_put(other, "a", "x", "1.0.0.0/8");
	assert_true(wait_log(store, &log, "+a/x=1.0.0.0/8|"));
	assert_int_equal(kube_requests(f, "watch=true"), 2);
	store_close(store);
	store_close(other);
}

/* So does a server that is asked from a version of another life of the cluster: it waits for it. */
static void test_watch_mute(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .scan = 1 };
	struct store *store = store_test_open(&f->test, &options);
	struct watch_log log = { 0 };

	kube_control(f, "\"faults\": [{\"match\": \"watch=true\", \"cut\": \"silent\"}]");
	test_watch(store, &log);
	assert_true(wait_log(store, &log, "!"));
	assert_int_equal(kube_requests(f, "watch=true"), 2);
	store_close(store);
}

static void note_events(const struct store_event *events, size_t count, bool synced, void *arg)
{
	char *text = arg;

	(void)synced;
	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), 256 - strlen(text), "%c%s ", "+~-"[events[i].type],
			 json_text_at(events[i].object, "metadata.name"));
}

struct followed {
	struct follow *follow;
	const char *text, *wanted;
};

static bool is_followed(void *arg)
{
	const struct followed *followed = arg;

	(void)follow_dispatch(followed->follow, NULL);
	return !strcmp(followed->text, followed->wanted);
}

/* Everything a lasting reader needs: after a compaction only the difference is told. */
static void test_follow(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_free_ char *more = xasprintf(", \"compact\": %u", kube_number());
	struct store *other = store_test_open(&f->test, NULL);
	struct store_query query = test_query(NULL);
	struct store_key key = test_key("a", "x");
	char text[256] = "";
	const struct follow_args args = {
		.queries = &query, .count = 1, .fn = note_events, .arg = text
	};
	struct follow *follow;

	store_test_put(other, "a", "x", "1.0.0.0/8");
	store_test_put(other, "a", "y", "1.0.0.0/8");
	assert_int_equal(follow_open(f->store, &args, &follow, NULL), 0);
	assert_string_equal(text, "+x +y ");
	text[0] = 0;
	settle(f->store);
	kube_control(f, "\"forbid\": \"watch\"");
	drop(f, ", \"forbid\": \"watch\"");
	store_test_put(other, "a", "z", "1.0.0.0/8");
	assert_int_equal(store_delete(other, &key, NULL, NULL), 0);
	kube_control(f, more + 2);
	store_test_put(other, "a", "y", "2.0.0.0/8");
	drop(f, "");
	assert_true(
		wait_for(f->store, is_followed, &(struct followed){ follow, text, "~y +z -x " }));
	follow_close(follow);
	store_close(other);
}

/* --- writes --- */

static void test_one_after_the_other(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *x = test_set("a", "x", "1.0.0.0/8", NULL);
	_cleanup_json_ json_t *y = test_set("a", "y", "1.0.0.0/8", NULL);
	struct store_write writes[] = { { .op = STORE_CREATE, .object = x },
					{ .op = STORE_CREATE, .object = x },
					{ .op = STORE_CREATE, .object = y } };
	struct err err = { 0 };

	assert_false(store_is_atomic(f->store));
	assert_int_equal(store_commit(f->store, writes, 3, &err), -EEXIST);
	assert_non_null(strstr(err.text, "a/x: already exists"));
	assert_int_equal(writes[0].result, 0);
	assert_int_equal(writes[1].result, -EEXIST);
	assert_int_equal(writes[2].result, -ECANCELED);
	assert_string_equal(test_net(writes[0].stored), "1.0.0.0/8");
	store_writes_done(writes, 3);
	assert_int_equal(kube_try_get(f->store, NULL), 0);
}

/* Replaces whatever is stored, though somebody writes between its read and its write. */
static void test_replace_races(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "2.0.0.0/8", NULL), *stored = NULL;

	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	kube_control(f, "\"faults\": [{\"match\": \"PUT\", \"times\": 2, \"status\": 409, "
			"\"reason\": \"Conflict\"}]");
	assert_int_equal(store_update(f->store, object, &stored, NULL), 0);
	assert_string_equal(test_net(stored), "2.0.0.0/8");
	assert_int_equal(kube_requests(f, "PUT"), 3);
}

/* A deletion that waits for finalizers is one. */
static void test_finalizers(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "2.0.0.0/8", NULL), *stored = NULL;
	const struct store_key key = test_key("a", "x");

	json_object_set_new(json_object_get(object, "metadata"), "finalizers",
			    json_pack("[s]", "margay.dev/test"));
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), 0);
	assert_int_equal(store_get(f->store, &key, &stored, NULL), 0);
	assert_non_null(json_text_at(stored, "metadata.deletionTimestamp"));
	json_object_del(json_object_get(stored, "metadata"), "finalizers");
	assert_int_equal(store_update(f->store, stored, NULL, NULL), 0);
	assert_int_equal(kube_try_get(f->store, NULL), -ENOENT);
}

/* --- what a server has and allows --- */

static void test_absent(void **state)
{
	struct store_fixture *f = *state;
	struct store_query queries[] = { test_query(NULL),
					 { .kind = store_kind(KIND_CLUSTER_NETWORK_POLICY) } };
	struct watch_log log = { 0 };
	const struct store_watch_args args = { &queries[1], 1, watch_log_fn, &log };
	struct store_watch *watch;
	struct store_list list;
	struct err err = { 0 };

	kube_control(f, "\"absent\": [\"networksets\", \"clusternetworkpolicies\"]");
	assert_int_equal(store_list(f->store, &queries[0], 1, &list, &err), -EOPNOTSUPP);
	assert_non_null(strstr(err.text, "networksets.projectcalico.org"));
	assert_non_null(strstr(err.text, "CRDs"));
	/* What a cluster need not have is empty, and no failure of its watch. */
	assert_int_equal(store_list(f->store, &queries[1], 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 0);
	queries[1].from = list.version;
	assert_int_equal(store_watch(f->store, &args, &watch, NULL), 0);
	settle(f->store);
	assert_int_equal(store_dispatch(f->store, NULL), 0);
	assert_false(log.list_again);
	store_unwatch(watch);
	/* Once it is there, its objects are listed. */
	kube_control(f, "");
	assert_int_equal(store_watch(f->store, &args, &watch, NULL), 0);
	assert_true(wait_log(f->store, &log, "!"));
	store_list_done(&list);
}

#define NO_CNP "\"absent\": [\"clusternetworkpolicies\"]"

static bool is_in_reach(void *arg)
{
	return store_dispatch(arg, NULL) == 0;
}

static bool is_out_of_reach(void *arg)
{
	return store_unreachable(store_dispatch(arg, NULL));
}

/* The server goes, and is back without the resource as before: that it says so is an answer. */
static void test_absent_while_the_server_is_away(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = { .kind = store_kind(KIND_CLUSTER_NETWORK_POLICY) };
	struct watch_log log = { 0 };
	const struct store_watch_args args = { &query, 1, watch_log_fn, &log };
	struct store_watch *watch;
	struct store_list list;

	kube_control(f, NO_CNP);
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	query.from = list.version;
	kube_control(f, NO_CNP ", \"faults\": [{\"match\": \"GET\", \"cut\": \"none\"}]");
	assert_int_equal(store_watch(f->store, &args, &watch, NULL), 0);
	assert_true(wait_for(f->store, is_out_of_reach, f->store));
	kube_control(f, NO_CNP);
	assert_true(wait_for(f->store, is_in_reach, f->store));
	assert_int_equal(kube_try_get(f->store, NULL), -ENOENT);
	assert_false(log.list_again);
	store_list_done(&list);
}

/* A stream that is refused is an error of the store until it runs. */
static void test_watch_refused(void **state)
{
	struct store_fixture *f = *state;
	struct watch_log log = { 0 };
	struct err err = { 0 };
	int r = 0;

	kube_control(f, "\"forbid\": \"watch networksets\"");
	test_watch(f->store, &log);
	while (!r)
		r = store_dispatch(f->store, &err);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, "cannot watch resource"));
	kube_control(f, "");
	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	assert_true(wait_log(f->store, &log, "+a/x"));
	assert_int_equal(store_dispatch(f->store, NULL), 0);
}

/* A query by name is one for the server. */
static void test_fields(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query("a");
	struct store_list list;

	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	store_test_put(f->store, "a", "y", "1.0.0.0/8");
	query.name = "y";
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 1);
	store_list_done(&list);
	assert_int_equal(kube_requests(f, "fieldSelector=metadata.name%3Dy"), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, kube_fixture_setup, kube_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pages),
		CASE(test_cut_answer),
		CASE(test_watch_goes_on),
		CASE(test_watch_bookmarks),
		CASE(test_watch_expired),
		CASE(test_watch_silent),
		CASE(test_watch_mute),
		CASE(test_follow),
		CASE(test_one_after_the_other),
		CASE(test_replace_races),
		CASE(test_finalizers),
		CASE(test_absent),
		CASE(test_absent_while_the_server_is_away),
		CASE(test_watch_refused),
		CASE(test_fields),
	};

	return cmocka_run_group_tests(tests, kube_group_setup, kube_group_teardown);
}
