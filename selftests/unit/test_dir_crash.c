/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory back end when its writers die and its disk is full. A writer is stopped at each of
 * its system calls in turn and killed there; after each kill the store must hold all of the
 * transaction or nothing of it, and take the next one.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "selftests/lib/store_test.h"

#define OBJECTS 3

static const char *const names[OBJECTS] = { "x", "y", "z" };

/* Gives x, y and z the value; with an odd one y goes, with an even one it comes. */
static int write_all(struct store *store, int value)
{
	struct store_write writes[OBJECTS] = { 0 };
	json_t *objects[OBJECTS];
	size_t count = 0;
	char net[32];
	int r;

	snprintf(net, sizeof(net), "%d", value);
	for (int i = 0; i < OBJECTS; i++) {
		struct store_key key = test_key("a", names[i]);
		json_t *old = NULL;
		bool is_there = !store_get(store, &key, &old, NULL);

		json_decref(old);
		objects[i] = test_set("a", names[i], net, NULL);
		if (i != 1 || value % 2 == 0)
			writes[count++] =
				(struct store_write){ .op = is_there ? STORE_UPDATE : STORE_CREATE,
						      .object = objects[i] };
		else if (is_there)
			writes[count++] = (struct store_write){ .op = STORE_DELETE, .key = key };
	}
	r = store_commit(store, writes, count, NULL);
	store_writes_done(writes, count);
	for (int i = 0; i < OBJECTS; i++)
		json_decref(objects[i]);
	return r;
}

/* The value all objects have; -1: they differ. */
static int read_all(struct store *store)
{
	struct store_query query = test_query("a");
	struct store_list list;
	int value = -1;
	json_t *object;
	size_t i;

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	json_array_foreach(list.items, i, object) {
		int this = atoi(test_net(object));

		if (value >= 0 && this != value)
			fail_msg("%d beside %d", this, value);
		value = this;
	}
	if (list.items && value >= 0)
		assert_int_equal(json_array_size(list.items), value % 2 ? 2 : 3);
	store_list_done(&list);
	return value;
}

static void writer(const struct store_test *test, int value)
{
	struct store *store;
	int r;

	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	store = store_test_open(test, NULL);
	r = write_all(store, value);
	_exit(r ? 1 : 0);
}

/* Lets a writer run to its n-th stop at a system call. True: it ended before. */
static bool kill_at(const struct store_test *test, int value, int n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid)
		writer(test, value);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	for (int i = 0; i < n; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return true;
		}
		assert_true(WIFSTOPPED(status));
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}

static void test_kill_everywhere(void **state)
{
	struct store_test test;
	struct store *store;
	bool ended = false;
	int stops = 0;

	(void)state;
	store_test_init(&test);
	store = store_test_open(&test, NULL);
	/* From the state of two objects to that of three, each time. */
	for (int n = 1; !ended; n++) {
		int value;

		assert_int_equal(write_all(store, 1), 0);
		assert_int_equal(read_all(store), 1);
		ended = kill_at(&test, 2, n);
		value = read_all(store);
		assert_true(value == 1 || value == 2);
		if (ended)
			assert_int_equal(value, 2);
		stops = n;
	}
	print_message("# killed at %d stops\n", stops);
	assert_true(stops > 50);
	/* Nothing is left over of the killed ones. */
	{
		_cleanup_free_ char *left = test_path(&test, "store/tmp");

		assert_int_equal(write_all(store, 5), 0);
		assert_int_equal(rmdir(left), 0);
	}
	store_close(store);
	store_test_done(&test);
}

/* A watch sees what a killed writer had committed, and in one batch. */
static void test_watch_after_kill(void **state)
{
	const struct store_options options = { .scan = 1 };
	struct watch_log log = { 0 };
	struct store_test test;
	struct store *store;
	int n = 1;

	(void)state;
	store_test_init(&test);
	store = store_test_open(&test, &options);
	test_watch(store, &log);
	for (;; n++) {
		_cleanup_free_ char *record = test_path(&test, "store/log/1.json");

		assert_false(kill_at(&test, 2, n));
		if (!access(record, F_OK))
			break;
	}
	assert_true(wait_log(store, &log, "|"));
	assert_string_equal(log.text, "+a/x=2 +a/y=2 +a/z=2|");
	store_close(store);
	store_test_done(&test);
}

static void test_full_disk(void **state)
{
	struct store_test test;
	struct store *store;
	struct err err = { 0 };
	int r = 0, made = 0;

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		print_message("# skip: needs a mount namespace: %s\n", strerror(errno));
		skip();
	}
	store_test_init(&test);
	assert_int_equal(mkdir(test.path, 0700), 0);
	assert_int_equal(mount("none", test.path, "tmpfs", 0, "size=1m,mode=0700"), 0);
	store = store_test_open(&test, NULL);
	for (; !r; made++) {
		_cleanup_free_ char *name = xasprintf("n%d", made);
		_cleanup_json_ json_t *object = test_set("a", name, "1.0.0.0/8", NULL);

		r = store_create(store, object, NULL, &err);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(store_unreachable(r));
	assert_non_null(strstr(err.text, test.path));
	made--;
	/* All that was acknowledged is there, nothing else. */
	{
		struct store_query query = test_query("a");
		struct store_list list;

		assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
		assert_int_equal(json_array_size(list.items), made);
		store_list_done(&list);
	}
	/* Room comes from deletes. */
	for (int i = 0; i < made; i++) {
		_cleanup_free_ char *name = xasprintf("n%d", i);
		struct store_key key = test_key("a", name);

		if (store_delete(store, &key, NULL, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(write_all(store, 2), 0);
	assert_int_equal(read_all(store), 2);
	store_close(store);
	assert_int_equal(umount(test.path), 0);
	store_test_done(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_everywhere),
		cmocka_unit_test(test_watch_after_kill),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
