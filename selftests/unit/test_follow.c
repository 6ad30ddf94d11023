/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and watches in one: what a lasting reader of a store is told. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "datastore/follow.h"
#include "selftests/lib/store_test.h"

struct follow_log {
	char text[1024];
	bool synced;
};

static void follow_log_fn(const struct store_event *events, size_t count, bool synced, void *arg)
{
	struct follow_log *log = arg;
	size_t used = strlen(log->text);

	log->synced |= synced;
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(log->text + used, sizeof(log->text) - used, "%c%s ",
					 "+~-"[events[i].type],
					 json_text_at(events[i].object, "metadata.name"));
}

static void test_follow(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .create = true, .history = 2 };
	struct store_query query = test_query(NULL);
	struct follow_log log = { .text = "" };
	const struct follow_args args = {
		.queries = &query, .count = 1, .fn = follow_log_fn, .arg = &log
	};
	struct store *writer = store_test_open(&f->test, &options);
	struct store_key key = test_key("a", "x");
	struct follow *follow;

	store_test_put(writer, "a", "x", "1.0.0.0/8");
	store_test_put(writer, "a", "y", "1.0.0.0/8");
	assert_int_equal(follow_open(f->store, &args, &follow, NULL), 0);
	assert_true(log.synced);
	assert_string_equal(log.text, "+x +y ");
	/* More changes than the log keeps: the second list tells what differs. */
	log.text[0] = 0;
	store_test_put(writer, "a", "z", "1.0.0.0/8");
	store_test_put(writer, "a", "y", "2.0.0.0/8");
	assert_int_equal(store_delete(writer, &key, NULL, NULL), 0);
	store_test_put(writer, "a", "y", "3.0.0.0/8");
	settle(f->store);
	assert_int_equal(follow_timeout_ms(follow), 0);
	assert_int_equal(follow_dispatch(follow, NULL), 0);
	assert_int_equal(follow_timeout_ms(follow), -1);
	assert_string_equal(log.text, "~y +z -x ");
	follow_close(follow);
	store_close(writer);
}

struct parts_log {
	size_t added, changed, deleted, parts, largest;
	bool synced; /* of the last part */
};

static void parts_log_fn(const struct store_event *events, size_t count, bool synced, void *arg)
{
	struct parts_log *log = arg;

	log->synced = synced;
	log->parts++;
	log->largest = count > log->largest ? count : log->largest;
	for (size_t i = 0; i < count; i++) {
		log->added += events[i].type == STORE_ADDED;
		log->changed += events[i].type == STORE_MODIFIED;
		log->deleted += events[i].type == STORE_DELETED;
	}
}

static void put_numbered(struct store *store, int first, int end)
{
	for (int i = first; i < end; i++) {
		_cleanup_free_ char *name = xasprintf("n-%03d", i);

		store_test_put(store, "a", name, "1.0.0.0/8");
	}
}

/* A long list comes in parts, of which the last says that it was all. */
static void test_follow_parts(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query(NULL);
	struct parts_log log = { 0 };
	const struct follow_args args = {
		.queries = &query, .count = 1, .fn = parts_log_fn, .arg = &log
	};
	struct follow *follow;

	put_numbered(f->store, 0, 300);
	assert_int_equal(follow_open(f->store, &args, &follow, NULL), 0);
	assert_int_equal(log.added, 300);
	assert_true(log.parts > 2 && log.largest < 150);
	assert_true(log.synced && follow_is_synced(follow));
	follow_close(follow);
}

/* In place of a file of the store a folder, which nobody can read as an object. */
static void break_file(const struct store_test *test, const char *path)
{
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	_cleanup_free_ char *full = test_path(test, path);

	assert_int_equal(unlink(full), 0);
	assert_int_equal(mkdir(full, 0700), 0);
	assert_int_equal(utimensat(AT_FDCWD, full, times, 0), 0);
}

/* A second list that breaks in its middle: what it told stays told, what is missing is not taken
 * for deleted, and the next list tells the rest. */
static void test_follow_broken_list(void **state)
{
	static const char *const files[] = {
		"store/objects/projectcalico.org/NetworkSet/a/n-150.json",
		"store/served/projectcalico.org/NetworkSet/a/n-150.json",
	};
	struct store_fixture *f = *state;
	const struct store_options options = { .history = 2 };
	struct store_query query = test_query(NULL);
	struct store_key key = test_key("a", "n-002");
	struct parts_log log = { 0 };
	const struct follow_args args = {
		.queries = &query, .count = 1, .fn = parts_log_fn, .arg = &log
	};
	struct store *writer = store_test_open(&f->test, &options);
	struct follow *follow;

	put_numbered(writer, 0, 10);
	assert_int_equal(follow_open(f->store, &args, &follow, NULL), 0);
	put_numbered(writer, 100, 300);
	assert_int_equal(store_delete(writer, &key, NULL, NULL), 0);
	settle(f->store);
	for (int i = 0; i < 2; i++)
		break_file(&f->test, files[i]);
	log = (struct parts_log){ 0 };
	assert_true(follow_dispatch(follow, NULL) < 0);
	assert_int_equal(log.added, 50);
	assert_int_equal(log.deleted, 0);
	assert_false(log.synced);
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *full = test_path(&f->test, files[i]);

		assert_int_equal(rmdir(full), 0);
	}
	poll(NULL, 0, follow_timeout_ms(follow));
	assert_int_equal(follow_dispatch(follow, NULL), 0);
	assert_int_equal(log.added, 199);
	assert_int_equal(log.deleted, 1);
	assert_true(log.synced);
	follow_close(follow);
	store_close(writer);
}

#define CASE(name)                                                                                 \
	cmocka_unit_test_setup_teardown(name, store_fixture_setup, store_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_follow),
		CASE(test_follow_parts),
		CASE(test_follow_broken_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
