/* SPDX-License-Identifier: Apache-2.0 */
/* The directory back end: files edited by hand, damage, permissions, file systems that report
 * nothing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "selftests/lib/store_test.h"

#define SETS "store/objects/projectcalico.org/NetworkSet"
#define SERVED "store/served/projectcalico.org/NetworkSet"
#define BODY(name, net)                                                                            \
	"{\"apiVersion\": \"projectcalico.org/v3\", \"kind\": \"NetworkSet\","                     \
	" \"metadata\": {\"name\": \"" name "\", \"namespace\": \"a\"},"                           \
	" \"spec\": {\"nets\": [\"" net "\"]}}"

struct fixture {
	struct store_test test;
	struct store *store;
	struct watch_log log;
	json_t *first; /* a/x as it was created */
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", NULL);

	store_test_init(&f->test);
	f->store = store_test_open(&f->test, NULL);
	assert_int_equal(store_create(f->store, object, &f->first, NULL), 0);
	test_watch(f->store, &f->log);
	settle(f->store);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	json_decref(f->first);
	store_close(f->store);
	store_test_done(&f->test);
	free(f);
	return 0;
}

static char *net_of(struct store *store, const char *name)
{
	struct store_key key = test_key("a", name);
	_cleanup_json_ json_t *object = NULL;

	if (store_get(store, &key, &object, NULL) < 0)
		return xstrdup("none");
	return xstrdup(test_net(object));
}

static void assert_net(struct store *store, const char *name, const char *net)
{
	_cleanup_free_ char *have = net_of(store, name);

	assert_string_equal(have, net);
}

static const struct store_problem *only_problem(struct store *store)
{
	const struct store_problem *list;

	assert_int_equal(store_problems(store, &list, NULL), 1);
	return list;
}

/* --- edits by hand --- */

static void test_edit(void **state)
{
	struct fixture *f = *state;
	struct store_key key = test_key("a", "x");
	_cleanup_json_ json_t *object = NULL;

	test_write(&f->test, SETS "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/x=2.0.0.0/8|"));
	assert_int_equal(store_get(f->store, &key, &object, NULL), 0);
	assert_string_equal(json_text_at(object, "metadata.uid"),
			    json_text_at(f->first, "metadata.uid"));
	assert_string_not_equal(test_version(object), test_version(f->first));
	/* Who read it before does not overwrite the edit. */
	assert_int_equal(store_update(f->store, f->first, NULL, NULL), -ESTALE);
}

/* Nobody watches: the next reader finds it. */
static void test_edit_unwatched(void **state)
{
	struct fixture *f = *state;
	struct store_query query = test_query("a");
	struct store *other = store_test_open(&f->test, NULL);
	struct store_list list;

	test_write(&f->test, SETS "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_net(other, "x", "2.0.0.0/8");
	test_write(&f->test, SETS "/a/y.json", BODY("y", "3.0.0.0/8"));
	assert_int_equal(store_list(other, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 2);
	store_list_done(&list);
	test_write(&f->test, SETS "/a/x.json", BODY("x", "4.0.0.0/8"));
	assert_int_equal(store_update(other, f->first, NULL, NULL), -ESTALE);
	store_close(other);
}

static void test_new_and_removed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *folder = test_path(&f->test, SETS "/b");
	_cleanup_free_ char *file = test_path(&f->test, SETS "/a/x.json");
	struct store_key key = test_key("b", "y");
	_cleanup_json_ json_t *object = NULL;

	assert_int_equal(mkdir(folder, 0700), 0);
	test_write(&f->test, SETS "/b/y.json",
		   "{\"apiVersion\": \"projectcalico.org/v3\", \"kind\": \"NetworkSet\","
		   " \"metadata\": {\"name\": \"y\", \"namespace\": \"b\"},"
		   " \"spec\": {\"nets\": [\"5.0.0.0/8\"]}}");
	assert_true(wait_log(f->store, &f->log, "+b/y=5.0.0.0/8|"));
	assert_int_equal(store_get(f->store, &key, &object, NULL), 0);
	assert_int_equal(strlen(json_text_at(object, "metadata.uid")), 36);
	assert_int_equal(unlink(file), 0);
	assert_true(wait_log(f->store, &f->log, "-a/x|"));
	assert_net(f->store, "x", "none");
}

/* Hidden and temporary files of editors are none of ours. */
static void test_other_files(void **state)
{
	struct fixture *f = *state;

	test_write(&f->test, SETS "/a/.x.json", "nonsense");
	test_write(&f->test, SETS "/a/x.json~", "nonsense");
	test_write(&f->test, SETS "/a/x.json.swp", "nonsense");
	test_write(&f->test, SETS "/a/z.json", BODY("z", "6.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "+a/z=6.0.0.0/8|"));
	assert_string_equal(f->log.text, "+a/z=6.0.0.0/8|");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
}

static bool has_problem(void *arg)
{
	return store_problems(arg, NULL, NULL) == 1;
}

static bool has_no_problem(void *arg)
{
	return !store_problems(arg, NULL, NULL);
}

/* Design section 7, case 3. */
static void test_torn(void **state)
{
	struct fixture *f = *state;
	const struct store_problem *problem;
	struct store *fresh;

	test_write(&f->test, SETS "/a/x.json", "{\"apiVersion\": \"projectcalico.org/v3\",\n \"ki");
	assert_true(wait_for(f->store, has_problem, f->store));
	problem = only_problem(f->store);
	assert_non_null(strstr(problem->file, SETS "/a/x.json"));
	assert_non_null(strstr(problem->text, "line 2"));
	assert_true(problem->served);
	assert_net(f->store, "x", "1.0.0.0/8");
	/* A fresh start gives the same as a long life. */
	fresh = store_test_open(&f->test, NULL);
	assert_net(fresh, "x", "1.0.0.0/8");
	assert_int_equal(store_problems(fresh, NULL, NULL), 1);
	store_close(fresh);
	/* Mended. */
	test_write(&f->test, SETS "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/x=2.0.0.0/8|"));
	assert_true(wait_for(f->store, has_no_problem, f->store));
	assert_string_equal(f->log.text, "~a/x=2.0.0.0/8|");
}

/* A bad file that another process removes, or a person who never had it right. */
static void test_bad_file_goes(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *file = test_path(&f->test, SETS "/a/y.json");
	struct store *other = store_test_open(&f->test, NULL);
	struct store_key key = test_key("a", "x");

	test_write(&f->test, SETS "/a/x.json", "nonsense");
	assert_true(wait_for(f->store, has_problem, f->store));
	assert_int_equal(store_delete(other, &key, NULL, NULL), 0);
	assert_true(wait_for(f->store, has_no_problem, f->store));
	test_write(&f->test, SETS "/a/y.json", "nonsense");
	assert_true(wait_for(f->store, has_problem, f->store));
	assert_int_equal(unlink(file), 0);
	assert_true(wait_for(f->store, has_no_problem, f->store));
	store_close(other);
}

/* Without a valid copy the object is absent. */
static void test_never_valid(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "line" },
		{ "[]", "object" },
		{ "{}", "metadata" },
		{ BODY("other", "1.0.0.0/8"), "objects/projectcalico.org/NetworkSet/a/other.json" },
		{ "{\"apiVersion\": \"v9\", \"kind\": \"NetworkSet\", \"metadata\":"
		  " {\"name\": \"y\"}}",
		  "v9" },
		{ "{\"apiVersion\": \"projectcalico.org/v3\", \"kind\": \"NetworkSet\","
		  " \"metadata\": {\"name\": \"y\", \"namespace\": \"a\", \"labels\": {\"a\": 1}}}",
		  "metadata.labels.a" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_problem *problem;

		test_write(&f->test, SETS "/a/y.json", cases[i].text);
		assert_net(f->store, "y", "none");
		problem = only_problem(f->store);
		if (!strstr(problem->text, cases[i].expected))
			fail_msg("\"%s\" does not name %s", problem->text, cases[i].expected);
		assert_false(problem->served);
	}
}

static int refuse_nine(const json_t *object, struct err *err)
{
	if (!strcmp(test_net(object), "9.0.0.0/8"))
		return err_set(err, -EINVAL, "spec.nets[0]: nine");
	return 0;
}

static void test_check(void **state)
{
	struct fixture *f = *state;
	const struct store_options options = { .check = refuse_nine };
	struct store *store = store_test_open(&f->test, &options);
	_cleanup_json_ json_t *object = test_set("a", "n", "9.0.0.0/8", NULL);
	struct err err = { 0 };

	assert_int_equal(store_create(store, object, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "networkset.projectcalico.org a/n: spec.nets[0]: nine");
	test_write(&f->test, SETS "/a/x.json", BODY("x", "9.0.0.0/8"));
	assert_net(store, "x", "1.0.0.0/8");
	assert_string_equal(only_problem(store)->text, "spec.nets[0]: nine");
	store_close(store);
}

/* --- damage --- */

static void test_damaged_object(void **state)
{
	struct fixture *f = *state;
	const struct store_options short_log = { .history = 1 };
	_cleanup_json_ json_t *other = test_set("a", "o", "1.0.0.0/8", NULL);
	struct store_query query = test_query("a");
	struct store *store = store_test_open(&f->test, &short_log);
	struct store_list list;

	/* Mended from the log: no JSON, another object, one without a version. */
	test_write(&f->test, SERVED "/a/x.json", "");
	assert_net(f->store, "x", "1.0.0.0/8");
	test_write(&f->test, SERVED "/a/x.json", "{}");
	assert_net(f->store, "x", "1.0.0.0/8");
	test_write(&f->test, SERVED "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_net(f->store, "x", "1.0.0.0/8");
	/* The log knows of it no more: mended from the other copy. */
	assert_int_equal(store_create(store, other, NULL, NULL), 0);
	test_write(&f->test, SERVED "/a/x.json", "\1\2\3");
	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 2);
	store_list_done(&list);
	store_close(store);
}

static void test_damaged_version(void **state)
{
	static const char *const texts[] = {
		"",
		"nonsense",
		"-",
		"9999999999999999999",
		"99999999999999999999999",
		"7\n\n",
		"7777777777777777777777777777777777777777777777777777777777777777777777777777"
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_json_ json_t *object = test_set("b", "v", "1.0.0.0/8", NULL);
		struct store_key key = test_key("b", "v");
		struct store *store;

		test_write(&f->test, "store/version", texts[i]);
		store = store_test_open(&f->test, NULL);
		assert_net(store, "x", "1.0.0.0/8");
		assert_int_equal(store_create(store, object, NULL, NULL), 0);
		assert_int_equal(store_delete(store, &key, NULL, NULL), 0);
		store_close(store);
	}
	/* No version was given twice. */
	assert_true(wait_log(f->store, &f->log, "-b/v|"));
}

static void test_damaged_record(void **state)
{
	struct fixture *f = *state;
	struct watch_log log = { 0 };
	_cleanup_json_ json_t *object = test_set("b", "v", "1.0.0.0/8", NULL);

	/* One that was never finished is put aside. */
	test_write(&f->test, "store/log/2.json", "{\"version\": 2, \"chan");
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_non_null(strstr(only_problem(f->store)->file, "log/2.damaged"));
	assert_true(wait_log(f->store, &f->log, "+b/v"));
	/* One that a watch would need. */
	test_write(&f->test, "store/log/2.json", "");
	test_watch_from(f->store, &log, "1");
	assert_true(wait_log(f->store, &log, "!"));
}

static void test_lock_removed(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *lock = test_path(&f->test, "store/lock");
	struct store *other = store_test_open(&f->test, NULL);
	_cleanup_json_ json_t *one = test_set("b", "v", "1.0.0.0/8", NULL);
	_cleanup_json_ json_t *two = test_set("b", "w", "1.0.0.0/8", NULL);

	assert_int_equal(unlink(lock), 0);
	assert_int_equal(store_create(other, one, NULL, NULL), 0);
	assert_int_equal(store_create(f->store, two, NULL, NULL), 0);
	store_close(other);
}

static void test_replaced(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *away = test_path(&f->test, "away");
	struct store *other;

	assert_int_equal(rename(f->test.path, away), 0);
	other = store_test_open(&f->test, NULL);
	assert_true(wait_log(f->store, &f->log, "!"));
	assert_net(f->store, "x", "none");
	store_close(other);
}

/* --- what inotify does not tell --- */

static void test_overflow(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *a = test_path(&f->test, SETS "/a/.a"),
			    *b = test_path(&f->test, SETS "/a/.b");
	_cleanup_free_ char *limit = NULL;

	assert_int_equal(
		file_read(AT_FDCWD, "/proc/sys/fs/inotify/max_queued_events", 64, &limit, NULL), 0);
	test_write(&f->test, SETS "/a/.a", "");
	for (int i = 0; i < atoi(limit) / 4 + 1; i++) {
		assert_int_equal(rename(a, b), 0);
		assert_int_equal(rename(b, a), 0);
	}
	test_write(&f->test, SETS "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/x=2.0.0.0/8|"));
}

static void test_no_inotify(void **state)
{
	struct fixture *f = *state;
	const struct store_options options = { .scan = 1 };
	struct store *store = store_test_open(&f->test, &options);
	_cleanup_json_ json_t *object = test_set("b", "v", "1.0.0.0/8", NULL);
	struct watch_log log = { 0 };
	struct rlimit old, none;
	struct store_query query = test_query(NULL);
	struct store_list list;
	int next = dup(0);

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	test_watch_from(store, &log, list.version);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	store_list_done(&list);
	settle(store);
	/* Another node's write, then a hand's. */
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_true(wait_log(store, &log, "+b/v=1.0.0.0/8|"));
	test_write(&f->test, SETS "/a/x.json", BODY("x", "2.0.0.0/8"));
	assert_true(wait_log(store, &log, "~a/x=2.0.0.0/8|"));
	store_close(store);
}

/* --- who may --- */

static void assert_refused(const struct store_test *test, int code, const char *text)
{
	const struct store_options options = { .manifests = test->manifests };
	struct store *store = NULL;
	struct err err = { 0 };

	assert_int_equal(store_open(test->address, &options, &store, &err), code);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void test_permissions(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->test.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(chmod(f->test.path, 0770), 0);
	assert_refused(&f->test, -EPERM, "chmod go-w");
	assert_int_equal(chmod(f->test.path, 0700), 0);
	assert_int_equal(chown(f->test.path, 12345, 0), 0);
	assert_refused(&f->test, -EPERM, "chown root");
	assert_int_equal(chown(f->test.path, 0, 0), 0);
	assert_int_equal(mkdir(f->test.manifests, 0700), 0);
	assert_int_equal(chmod(f->test.manifests, 0757), 0);
	assert_refused(&f->test, -EPERM, f->test.manifests);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *address;
		int code;
	} cases[] = {
		{ "dir:relative", -EINVAL },
		{ "dir:", -EINVAL },
		{ "etcd", -EPROTONOSUPPORT },
		{ "directory:/x", -EPROTONOSUPPORT },
		{ "kubernetes:/proc/nothing", -ENOENT },
		{ "dir", -EINVAL },
		{ "dir:/proc/nothing", -ENOENT },
		{ "dir:/etc/passwd", -ENOTDIR },
	};
	struct store *store = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(store_open(cases[i].address, NULL, &store, &err), cases[i].code);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_edit),
		CASE(test_edit_unwatched),
		CASE(test_new_and_removed),
		CASE(test_other_files),
		CASE(test_torn),
		CASE(test_bad_file_goes),
		CASE(test_never_valid),
		CASE(test_check),
		CASE(test_damaged_object),
		CASE(test_damaged_version),
		CASE(test_damaged_record),
		CASE(test_lock_removed),
		CASE(test_replaced),
		CASE(test_overflow),
		CASE(test_no_inotify),
		CASE(test_permissions),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
