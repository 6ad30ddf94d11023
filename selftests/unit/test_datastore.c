/* SPDX-License-Identifier: Apache-2.0 */
/* The store as its users see it: writes, versions, transactions, lists. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "selftests/lib/kube_test.h"
#include "selftests/lib/store_test.h"

static void test_create_get(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", "k=v");
	_cleanup_json_ json_t *stored = NULL, *got = NULL;
	struct store_key key = test_key("a", "x");

	assert_int_equal(store_create(f->store, object, &stored, NULL), 0);
	assert_non_null(test_version(stored));
	assert_int_equal(strlen(json_text_at(stored, "metadata.uid")), 36);
	assert_int_equal(strlen(json_text_at(stored, "metadata.creationTimestamp")), 20);
	assert_int_equal(store_get(f->store, &key, &got, NULL), 0);
	assert_true(json_equal(stored, got));
	/* What was given is not changed. */
	assert_null(test_version(object));
	assert_int_equal(store_create(f->store, object, NULL, NULL), -EEXIST);
}

static void test_namespace_default(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL), *got = NULL;
	struct store_key key = test_key(NULL, "x");

	json_object_del(json_object_get(object, "metadata"), "namespace");
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_int_equal(store_get(f->store, &key, &got, NULL), 0);
	assert_string_equal(json_text_at(got, "metadata.namespace"), "default");
}

static void test_errors(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL), *got = NULL;
	struct store_key key = test_key("a", "x");
	struct err err = { 0 };

	assert_int_equal(store_get(f->store, &key, &got, &err), -ENOENT);
	assert_non_null(strstr(err.text, "networkset.projectcalico.org a/x"));
	assert_int_equal(store_update(f->store, object, NULL, NULL), -ENOENT);
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), -ENOENT);
	json_object_set_new(object, "kind", json_string("Nonsense"));
	assert_int_equal(store_create(f->store, object, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "Nonsense"));
}

static void test_bad_names(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b", "a%b", "a b", "a\nb" };
	struct store_fixture *f = *state;
	char text[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_json_ json_t *object = test_set("a", names[i], "10.0.0.0/8", NULL);
		_cleanup_json_ json_t *other = test_set(names[i], "a", "10.0.0.0/8", NULL);

		assert_int_equal(store_create(f->store, object, NULL, NULL), -EINVAL);
		if (*names[i])
			assert_int_equal(store_create(f->store, other, NULL, NULL), -EINVAL);
	}
	memset(text, 'a', sizeof(text));
	for (size_t size = 190; size <= 254; size += 1) {
		text[size] = 0;
		_cleanup_json_ json_t *object = test_set("a", text, "10.0.0.0/8", NULL);

		assert_int_equal(store_create(f->store, object, NULL, NULL),
				 size <= 253 ? 0 : -EINVAL);
		text[size] = 'a';
	}
}

/* Names that file systems or encodings might confuse stay different objects. */
static void test_similar_names(void **state)
{
	static const char *const names[] = { "a", "a.json", ".a",  "A",	    "a~b", "a~",
					     "_", "a:b",    "a_b", "a%2Eb", "ä",   "%" };
	struct store_fixture *f = *state;
	struct store_query query = test_query("a");
	struct store_list list;
	size_t made = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_json_ json_t *object = test_set("a", names[i], "10.0.0.0/8", NULL);

		made += !store_create(f->store, object, NULL, NULL);
	}
	assert_int_equal(made, sizeof(names) / sizeof(names[0]) - 2);
	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), made);
	store_list_done(&list);
}

static void test_compare_and_swap(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL);
	_cleanup_json_ json_t *first = NULL, *second = NULL;
	struct store_key key = test_key("a", "x");
	struct err err = { 0 };

	assert_int_equal(store_create(f->store, object, &first, NULL), 0);
	json_array_set_new(json_object_get(json_object_get(first, "spec"), "nets"), 0,
			   json_string("11.0.0.0/8"));
	assert_int_equal(store_update(f->store, first, &second, NULL), 0);
	assert_string_not_equal(test_version(first), test_version(second));
	json_array_set_new(json_object_get(json_object_get(first, "spec"), "nets"), 0,
			   json_string("12.0.0.0/8"));
	assert_int_equal(store_update(f->store, first, NULL, &err), -ESTALE);
	assert_non_null(strstr(err.text, "has changed"));
	assert_int_equal(store_delete(f->store, &key, test_version(first), NULL), -ESTALE);
	assert_int_equal(store_delete(f->store, &key, test_version(second), NULL), 0);
}

static void test_unchanged(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL);
	_cleanup_json_ json_t *first = NULL, *second = NULL;

	assert_int_equal(store_create(f->store, object, &first, NULL), 0);
	assert_int_equal(store_update(f->store, object, &second, NULL), 0);
	assert_string_equal(test_version(first), test_version(second));
}

static void test_other_uid(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL), *first = NULL;
	struct store_key key = test_key("a", "x");

	assert_int_equal(store_create(f->store, object, &first, NULL), 0);
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), 0);
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	json_object_del(json_object_get(first, "metadata"), "resourceVersion");
	assert_int_equal(store_update(f->store, first, NULL, NULL), -ESTALE);
}

static void test_status(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "10.0.0.0/8", NULL), *got = NULL;
	_cleanup_json_ json_t *other = test_set("a", "x", "11.0.0.0/8", NULL);
	struct store_key key = test_key("a", "x");
	struct store_write write = { .op = STORE_UPDATE_STATUS, .object = other };

	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	json_object_set_new(other, "status", json_pack("{s:s}", "phase", "good"));
	assert_int_equal(store_commit(f->store, &write, 1, NULL), 0);
	store_writes_done(&write, 1);
	assert_int_equal(store_get(f->store, &key, &got, NULL), 0);
	assert_string_equal(test_net(got), "10.0.0.0/8");
	assert_string_equal(json_text_at(got, "status.phase"), "good");
	json_decref(TAKE_PTR(got));
	/* A writer who knows of no status leaves it. */
	json_object_del(other, "status");
	assert_int_equal(store_update(f->store, other, &got, NULL), 0);
	assert_string_equal(test_net(got), "11.0.0.0/8");
	assert_string_equal(json_text_at(got, "status.phase"), "good");
}

static void test_transaction(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *x = test_set("a", "x", "1.0.0.0/8", NULL);
	_cleanup_json_ json_t *y = test_set("b", "y", "2.0.0.0/8", NULL);
	_cleanup_json_ json_t *z = test_set("b", "z", "3.0.0.0/8", NULL);
	struct store_write writes[] = { { .op = STORE_CREATE, .object = x },
					{ .op = STORE_UPDATE, .object = y },
					{ .op = STORE_CREATE, .object = z } };
	struct store_key key = test_key("a", "x");
	_cleanup_json_ json_t *got = NULL;
	struct watch_log log = { 0 };
	struct err err = { 0 };

	test_watch(f->store, &log);
	/* One cannot be made: none is. */
	assert_int_equal(store_commit(f->store, writes, 3, &err), -ENOENT);
	assert_non_null(strstr(err.text, "b/y"));
	assert_int_equal(writes[0].result, -ECANCELED);
	assert_int_equal(writes[1].result, -ENOENT);
	assert_null(writes[0].stored);
	assert_int_equal(store_get(f->store, &key, &got, NULL), -ENOENT);

	writes[1].op = STORE_CREATE;
	assert_int_equal(store_commit(f->store, writes, 3, &err), 0);
	assert_string_equal(test_version(writes[0].stored), test_version(writes[2].stored));
	store_writes_done(writes, 3);
	assert_true(wait_log(f->store, &log, "|"));
	assert_string_equal(log.text, "+a/x=1.0.0.0/8 +b/y=2.0.0.0/8 +b/z=3.0.0.0/8|");
	/* One object cannot be written twice in one. */
	writes[1].object = x;
	assert_int_equal(store_commit(f->store, &writes[1], 1, NULL), -EEXIST);
	writes[0].op = writes[1].op = STORE_UPDATE;
	json_object_set_new(x, "spec", json_pack("{s:[s]}", "nets", "9.0.0.0/8"));
	assert_int_equal(store_commit(f->store, writes, 2, NULL), -EINVAL);
}

static void test_too_large(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", NULL);
	_cleanup_free_ char *text = xmalloc(STORE_OBJECT_MAX + 1);

	memset(text, 'a', STORE_OBJECT_MAX);
	text[STORE_OBJECT_MAX] = 0;
	json_object_set_new(object, "spec", json_string(text));
	assert_int_equal(store_create(f->store, object, NULL, NULL), -EMSGSIZE);
}

static void test_list(void **state)
{
	struct store_fixture *f = *state;
	struct store_query queries[] = { test_query(NULL), test_query("a"), test_query(NULL) };
	struct store_list lists[3];
	_cleanup_json_ json_t *labelled = test_set("a", "l", "4.0.0.0/8", "app=web,tier=1");

	queries[2].labels = "app in (web, db),tier!=2";
	store_test_put(f->store, "b", "y", "2.0.0.0/8");
	store_test_put(f->store, "a", "z", "3.0.0.0/8");
	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	assert_int_equal(store_create(f->store, labelled, NULL, NULL), 0);
	assert_int_equal(store_list(f->store, queries, 3, lists, NULL), 0);
	assert_int_equal(json_array_size(lists[0].items), 4);
	assert_string_equal(json_text_at(json_array_get(lists[0].items, 0), "metadata.name"), "l");
	assert_string_equal(json_text_at(json_array_get(lists[0].items, 3), "metadata.name"), "y");
	assert_int_equal(json_array_size(lists[1].items), 3);
	assert_int_equal(json_array_size(lists[2].items), 1);
	assert_string_equal(lists[0].version, lists[2].version);
	for (int i = 0; i < 3; i++)
		store_list_done(&lists[i]);
}

/* --- object by object --- */

struct read_log {
	struct store *store;
	size_t count, last; /* objects; of the last query */
	size_t end;	    /* ends with -EINTR at this many; 0: never */
};

static int read_log_fn(size_t query, json_t *object, void *arg)
{
	struct read_log *log = arg;
	struct store_key key = test_key("a", "x");
	struct store_query again = test_query(NULL);
	struct store_list list;
	json_t *got = NULL;

	assert_true(query >= log->last);
	log->last = query;
	/* The store is locked meanwhile. */
	assert_int_equal(store_get(log->store, &key, &got, NULL), -EBUSY);
	assert_int_equal(store_list(log->store, &again, 1, &list, NULL), -EBUSY);
	assert_int_equal(store_update(log->store, object, NULL, NULL), -EBUSY);
	return ++log->count == log->end ? -EINTR : 0;
}

static void test_read(void **state)
{
	struct store_fixture *f = *state;
	struct store_query queries[] = { test_query(NULL), test_query("a"), test_query(NULL) };
	char versions[3][STORE_VERSION_MAX];
	struct read_log log = { .store = f->store };
	struct store_reading reading = {
		.queries = queries, .count = 3, .fn = read_log_fn, .arg = &log, .versions = versions
	};
	_cleanup_json_ json_t *labelled = test_set("a", "l", "4.0.0.0/8", "app=web"), *got = NULL;
	struct store_key key = test_key("a", "l");
	struct store_list list;

	queries[2].labels = "app=web";
	store_test_put(f->store, "b", "y", "2.0.0.0/8");
	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	assert_int_equal(store_create(f->store, labelled, NULL, NULL), 0);
	assert_int_equal(store_read(f->store, &reading, NULL), 0);
	assert_int_equal(log.count, 3 + 2 + 1);
	assert_int_equal(store_list(f->store, queries, 1, &list, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(versions[i], list.version);
	store_list_done(&list);
	/* Who reads may end it, and the lock is free again. */
	log = (struct read_log){ .store = f->store, .end = 2 };
	assert_int_equal(store_read(f->store, &reading, NULL), -EINTR);
	assert_int_equal(log.count, 2);
	assert_int_equal(store_get(f->store, &key, &got, NULL), 0);
}

/* --- several processes --- */

#define COUNTERS 4
#define ROUNDS 25

static int increment(struct store *store)
{
	struct store_key key = test_key("a", "counter");
	int r;

	do {
		_cleanup_json_ json_t *object = NULL;
		char text[32];

		r = store_get(store, &key, &object, NULL);
		if (r < 0)
			return r;
		snprintf(text, sizeof(text), "%d", atoi(test_net(object)) + 1);
		json_array_set_new(json_object_get(json_object_get(object, "spec"), "nets"), 0,
				   json_string(text));
		r = store_update(store, object, NULL, NULL);
	} while (r == -ESTALE);
	return r;
}

static void test_no_lost_update(void **state)
{
	struct store_fixture *f = *state;
	struct store_key key = test_key("a", "counter");
	_cleanup_json_ json_t *object = NULL;
	struct watch_log log = { 0 };
	pid_t pids[COUNTERS];

	store_test_put(f->store, "a", "counter", "0");
	test_watch(f->store, &log);
	for (int i = 0; i < COUNTERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (!pids[i]) {
			struct store *store = store_test_open(&f->test, NULL);
			int r = 0;

			for (int n = 0; !r && n < ROUNDS; n++)
				r = increment(store);
			store_close(store);
			_exit(r ? 1 : 0);
		}
	}
	for (int i = 0; i < COUNTERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(store_get(f->store, &key, &object, NULL), 0);
	assert_int_equal(atoi(test_net(object)), COUNTERS * ROUNDS);
	/* The watch saw each value once and in order. */
	assert_true(wait_log(f->store, &log, "=100|"));
	assert_int_equal(log.batches, COUNTERS * ROUNDS);
	for (int i = 1; i <= COUNTERS * ROUNDS; i++) {
		_cleanup_free_ char *text = xasprintf("~a/counter=%d|", i);

		assert_non_null(strstr(log.text, text));
	}
}

#define CASE(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create_get),
		CASE(test_namespace_default),
		CASE(test_errors),
		CASE(test_bad_names),
		CASE(test_similar_names),
		CASE(test_compare_and_swap),
		CASE(test_unchanged),
		CASE(test_other_uid),
		CASE(test_status),
		CASE(test_transaction),
		CASE(test_too_large),
		CASE(test_list),
		CASE(test_read),
		CASE(test_no_lost_update),
		/* An API server has no transactions, and no names of files to confuse. */
		KUBE_CASE(test_create_get),
		KUBE_CASE(test_namespace_default),
		KUBE_CASE(test_errors),
		KUBE_CASE(test_bad_names),
		KUBE_CASE(test_compare_and_swap),
		KUBE_CASE(test_unchanged),
		KUBE_CASE(test_other_uid),
		KUBE_CASE(test_status),
		KUBE_CASE(test_too_large),
		KUBE_CASE(test_list),
		KUBE_CASE(test_read),
		KUBE_CASE(test_no_lost_update),
	};

	kube_only();
	return cmocka_run_group_tests(tests, kube_group_setup, kube_group_teardown);
}
