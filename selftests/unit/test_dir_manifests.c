/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests beside the directory store: files that people write, merged in and never written. */
#include <errno.h>
#include <fcntl.h>
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
#include "selftests/lib/store_test.h"

#define SET(name, net)                                                                             \
	"apiVersion: projectcalico.org/v3\n"                                                       \
	"kind: NetworkSet\n"                                                                       \
	"metadata: {name: " name ", namespace: a}\n"                                               \
	"spec:\n"                                                                                  \
	"  nets: [" net "]   # a comment\n"

struct fixture {
	struct store_test test;
	struct store_options options;
	struct store *store;
	struct watch_log log;
};

static void reopen(struct fixture *f)
{
	store_close(f->store);
	memset(&f->log, 0, sizeof(f->log));
	f->store = store_test_open(&f->test, &f->options);
	test_watch(f->store, &f->log);
	settle(f->store);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	store_test_init(&f->test);
	assert_int_equal(mkdir(f->test.manifests, 0755), 0);
	f->options = (struct store_options){ .manifests = f->test.manifests, .instance = "n1" };
	test_write(&f->test, "manifests.d/10-sets.yml",
		   "# sets of the office\n" SET("x", "1.0.0.0/8") "---\n" SET("v", "2.0.0.0/8"));
	reopen(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	store_test_done(&f->test);
	free(f);
	return 0;
}

/* "v=2.0.0.0/8 x=1.0.0.0/8 " of namespace a. */
static char *listed(struct store *store)
{
	struct store_query query = test_query("a");
	struct store_list list;
	char *text = xstrdup("");
	json_t *object;
	size_t i;

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	json_array_foreach(list.items, i, object) {
		char *longer = xasprintf("%s%s=%s ", text, json_text_at(object, "metadata.name"),
					 test_net(object));

		free(text);
		text = longer;
	}
	store_list_done(&list);
	return text;
}

static void assert_listed(struct store *store, const char *expected)
{
	_cleanup_free_ char *text = listed(store);

	assert_string_equal(text, expected);
}

static void remove_manifest(struct fixture *f, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", f->test.manifests, name);

	assert_int_equal(unlink(path), 0);
}

static const struct store_problem *problem_with(struct store *store, const char *text)
{
	const struct store_problem *list;
	size_t count = store_problems(store, &list, NULL);

	for (size_t i = 0; i < count; i++)
		if (strstr(list[i].text, text) || strstr(list[i].file, text))
			return &list[i];
	for (size_t i = 0; i < count; i++)
		print_error("%s: %s\n", list[i].file, list[i].text);
	fail_msg("no problem says \"%s\"", text);
	return NULL;
}

static void test_merged(void **state)
{
	struct fixture *f = *state;
	struct store_key key = test_key("a", "v");
	_cleanup_json_ json_t *own = test_set("a", "m", "3.0.0.0/8", NULL), *got = NULL;
	_cleanup_free_ char *origin = NULL;

	assert_int_equal(store_create(f->store, own, NULL, NULL), 0);
	assert_listed(f->store, "m=3.0.0.0/8 v=2.0.0.0/8 x=1.0.0.0/8 ");
	assert_int_equal(store_get(f->store, &key, &got, NULL), 0);
	assert_string_equal(test_net(got), "2.0.0.0/8");
	assert_int_equal(store_origin(f->store, &key, &origin), 0);
	assert_non_null(strstr(origin, "/manifests.d/10-sets.yml:8"));
	key.name = "m";
	assert_int_equal(store_origin(f->store, &key, &origin), -ENOENT);
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
}

static void test_read_only(void **state)
{
	struct fixture *f = *state;
	struct store_key key = test_key("a", "x");
	_cleanup_json_ json_t *object = test_set("a", "x", "9.0.0.0/8", NULL);
	struct err err = { 0 };

	assert_int_equal(store_create(f->store, object, NULL, &err), -EROFS);
	assert_non_null(strstr(err.text, "manifests.d/10-sets.yml:2"));
	assert_int_equal(store_update(f->store, object, NULL, &err), -EROFS);
	assert_int_equal(store_delete(f->store, &key, NULL, &err), -EROFS);
	assert_non_null(strstr(err.text, "manifests.d/10-sets.yml:2"));
	assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
}

static void test_stable(void **state)
{
	struct fixture *f = *state;
	struct store_key key = test_key("a", "x");
	_cleanup_json_ json_t *first = NULL, *second = NULL;

	assert_int_equal(store_get(f->store, &key, &first, NULL), 0);
	assert_int_equal(strlen(json_text_at(first, "metadata.uid")), 36);
	assert_non_null(test_version(first));
	reopen(f);
	assert_int_equal(store_get(f->store, &key, &second, NULL), 0);
	assert_true(json_equal(first, second));
}

/* Of two pools that overlap the older one is in force: an edit must not change which one it is. */
static void test_edit_keeps_the_age(void **state)
{
	const struct timespec later[2] = { { .tv_sec = 4000000000 }, { .tv_sec = 4000000000 } };
	struct fixture *f = *state;
	_cleanup_free_ char *path = test_path(&f->test, "manifests.d/.new");
	_cleanup_free_ char *to = test_path(&f->test, "manifests.d/10-sets.yml");
	struct store_key key = test_key("a", "x");
	_cleanup_json_ json_t *edited = NULL;

	test_write(&f->test, "manifests.d/.new", SET("x", "5.0.0.0/8"));
	assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);
	assert_int_equal(rename(path, to), 0);
	assert_true(wait_log(f->store, &f->log, "~a/x=5.0.0.0/8"));
	assert_int_equal(store_get(f->store, &key, &edited, NULL), 0);
	assert_null(strstr(json_text_at(edited, "metadata.creationTimestamp"), "2096"));
}

static void test_skipped(void **state)
{
	static const char *const names[] = { ".hidden.yaml", ".x.yaml.swp", "x.yaml~", "x.yaml.tmp",
					     "README",	     "x.txt",	    "#x.yaml#" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *path = xasprintf("manifests.d/%s", names[i]);

		test_write(&f->test, path, SET("n", "9.0.0.0/8"));
	}
	test_write(&f->test, "manifests.d/x.json", SET("z", "4.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "+a/z"));
	assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 z=4.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
}

static void test_together(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *to = test_path(&f->test, "manifests.d/10-sets.yml");
	_cleanup_free_ char *from = test_path(&f->test, "manifests.d/.new");

	test_write(&f->test, "manifests.d/.new",
		   SET("x", "5.0.0.0/8") "---\n" SET("z", "6.0.0.0/8"));
	assert_int_equal(rename(from, to), 0);
	assert_true(wait_log(f->store, &f->log, "|"));
	assert_int_equal(f->log.batches, 1);
	assert_non_null(strstr(f->log.text, "~a/x=5.0.0.0/8"));
	assert_non_null(strstr(f->log.text, "+a/z=6.0.0.0/8"));
	assert_non_null(strstr(f->log.text, "-a/v"));
	remove_manifest(f, "10-sets.yml");
	assert_true(wait_log(f->store, &f->log, "-a/z"));
	assert_listed(f->store, "");
}

/* The last valid copy is written behind; a bad content may follow before it is on disk. */
static void test_good_then_bad_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		_cleanup_free_ char *net = xasprintf("%d.0.0.0/8", 20 + i);
		_cleanup_free_ char *good = xasprintf(SET("x", "%s"), net);
		_cleanup_free_ char *expected = xasprintf("x=%s ", net);

		test_write(&f->test, "manifests.d/10-sets.yml", good);
		assert_true(wait_log(f->store, &f->log, net));
		test_write(&f->test, "manifests.d/10-sets.yml", SET("x", "nonsense") "]");
		settle(f->store);
		assert_listed(f->store, expected);
	}
}

static void test_list_document(void **state)
{
	struct fixture *f = *state;

	test_write(&f->test, "manifests.d/20.yaml",
		   "apiVersion: v1\nkind: List\nitems:\n"
		   "- {apiVersion: projectcalico.org/v3, kind: NetworkSet,\n"
		   "   metadata: {name: l, namespace: a}, spec: {nets: [7.0.0.0/8]}}\n"
		   "- {apiVersion: projectcalico.org/v3, kind: Nonsense, metadata: {name: l}}\n");
	assert_true(wait_log(f->store, &f->log, "+a/l=7.0.0.0/8|"));
	assert_non_null(strstr(problem_with(f->store, "Nonsense")->file, "20.yaml:6"));
}

/* YAML 1.1 takes y for true, as kubectl does: the message must help. */
static void test_not_a_text(void **state)
{
	struct fixture *f = *state;

	test_write(&f->test, "manifests.d/20.yaml", SET("y", "7.0.0.0/8"));
	settle(f->store);
	assert_non_null(strstr(problem_with(f->store, "20.yaml")->text,
			       "metadata.name: expected a text, not true"));
}

/* Design section 7, case 3, for a file that cannot be read at all. */
static void test_syntax(void **state)
{
	struct fixture *f = *state;
	const struct store_problem *problem;

	test_write(&f->test, "manifests.d/10-sets.yml", "apiVersion: v1\nkind: [unclosed\n");
	settle(f->store);
	problem = problem_with(f->store, "10-sets.yml");
	assert_non_null(strstr(problem->text, "line"));
	assert_true(problem->served);
	assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
	reopen(f);
	assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
	assert_true(problem_with(f->store, "10-sets.yml")->served);
	test_write(&f->test, "manifests.d/10-sets.yml", SET("x", "8.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/x=8.0.0.0/8"));
	assert_listed(f->store, "x=8.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
}

static int refuse_nine(const json_t *object, struct err *err)
{
	if (!strcmp(test_net(object), "9.0.0.0/8"))
		return err_set(err, -EINVAL, "spec.nets[0]: nine");
	return 0;
}

/* One document is bad: its last valid copy stays, the others of the file come into force. */
static void test_bad_document(void **state)
{
	struct fixture *f = *state;
	const struct store_problem *problem;

	f->options.check = refuse_nine;
	reopen(f);
	test_write(
		&f->test, "manifests.d/10-sets.yml",
		SET("x", "9.0.0.0/8") "---\n" SET("v", "3.0.0.0/8") "---\n" SET("z", "9.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/v=3.0.0.0/8|"));
	assert_listed(f->store, "v=3.0.0.0/8 x=1.0.0.0/8 ");
	problem = problem_with(f->store, "spec.nets[0]: nine");
	assert_non_null(strstr(problem->file, "10-sets.yml:"));
	assert_non_null(problem->object);
	reopen(f);
	assert_listed(f->store, "v=3.0.0.0/8 x=1.0.0.0/8 ");
	/* Removed from the file: it goes. */
	test_write(&f->test, "manifests.d/10-sets.yml", SET("v", "3.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "-a/x"));
	assert_listed(f->store, "v=3.0.0.0/8 ");
}

/* One object in two places: an error that names both, and the one that was in force stays, also
 * over a restart, whichever file name comes first. */
static void test_two_files(void **state)
{
	static const char *const names[] = { "manifests.d/20.yaml", "manifests.d/05.yaml" };
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		const struct store_problem *problem;

		test_write(&f->test, names[i], SET("v", "9.0.0.0/8"));
		settle(f->store);
		for (int again = 0; again < 2; again++) {
			problem = problem_with(f->store, "in two places");
			assert_true(problem->twice);
			assert_non_null(strstr(problem->file, strchr(names[i], '/')));
			assert_non_null(strstr(problem->text, "10-sets.yml:8"));
			assert_non_null(strstr(problem->text, "the other one is in force"));
			assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
			reopen(f);
		}
		remove_manifest(f, strchr(names[i], '/') + 1);
		settle(f->store);
		assert_int_equal(store_problems(f->store, NULL, NULL), 0);
	}
	test_write(&f->test, names[0], SET("v", "9.0.0.0/8"));
	settle(f->store);
	remove_manifest(f, "10-sets.yml");
	assert_true(wait_log(f->store, &f->log, "|"));
	assert_listed(f->store, "v=9.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
}

/* What comes in one moment: the first by file name, and of one file the first in it. */
static void test_two_files_at_once(void **state)
{
	struct fixture *f = *state;

	test_write(&f->test, "manifests.d/40.yaml", SET("w", "4.0.0.0/8"));
	test_write(&f->test, "manifests.d/30.yaml",
		   SET("w", "3.0.0.0/8") "---\n" SET("w", "5.0.0.0/8"));
	settle(f->store);
	assert_listed(f->store, "v=2.0.0.0/8 w=3.0.0.0/8 x=1.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 2);
	assert_non_null(problem_with(f->store, "30.yaml:7"));
	assert_non_null(problem_with(f->store, "40.yaml:1"));
}

static void test_store_was_first(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "w", "3.0.0.0/8", NULL);
	struct store_key key = test_key("a", "w");
	const struct store_problem *problem;

	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_true(wait_log(f->store, &f->log, "+a/w=3.0.0.0/8|"));
	test_write(&f->test, "manifests.d/30.yaml", SET("w", "4.0.0.0/8"));
	settle(f->store);
	for (int again = 0; again < 2; again++) {
		problem = problem_with(f->store, "in two places");
		assert_non_null(strstr(problem->file, "30.yaml:1"));
		assert_non_null(strstr(problem->text,
				       "store/objects/projectcalico.org/NetworkSet/a/w.json"));
		assert_non_null(strstr(problem->text, "the other one is in force"));
		assert_listed(f->store, "v=2.0.0.0/8 w=3.0.0.0/8 x=1.0.0.0/8 ");
		reopen(f);
	}
	/* It is still the store's to change. */
	json_array_set_new(json_object_get(json_object_get(object, "spec"), "nets"), 0,
			   json_string("6.0.0.0/8"));
	assert_int_equal(store_update(f->store, object, NULL, NULL), 0);
	assert_true(wait_log(f->store, &f->log, "~a/w=6.0.0.0/8|"));
	/* One way out: then the file's comes into force. */
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), 0);
	assert_true(wait_log(f->store, &f->log, "+a/w=4.0.0.0/8|"));
	assert_listed(f->store, "v=2.0.0.0/8 w=4.0.0.0/8 x=1.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
	assert_int_equal(store_delete(f->store, &key, NULL, NULL), -EROFS);
}

/* Another node, which has no such file, writes into the shared store. */
static void test_file_was_first(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "3.0.0.0/8", NULL);
	struct store *other = store_test_open(&f->test, NULL);
	const struct store_problem *problem;

	assert_int_equal(store_create(other, object, NULL, NULL), 0);
	settle(f->store);
	for (int again = 0; again < 2; again++) {
		problem = problem_with(f->store, "in two places");
		assert_non_null(strstr(problem->file, "10-sets.yml:2"));
		assert_non_null(strstr(problem->text, "NetworkSet/a/x.json: this one is in force"));
		assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
		reopen(f);
	}
	/* The other way out: the store's object comes into force when the manifest goes. */
	remove_manifest(f, "10-sets.yml");
	assert_true(wait_log(f->store, &f->log, "~a/x=3.0.0.0/8"));
	assert_listed(f->store, "x=3.0.0.0/8 ");
	assert_int_equal(store_problems(f->store, NULL, NULL), 0);
	store_close(other);
}

static void test_file_permissions(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = test_path(&f->test, "manifests.d/30.yaml");

	test_write(&f->test, "manifests.d/30.yaml", SET("w", "4.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "+a/w=4.0.0.0/8|"));
	assert_int_equal(chmod(path, 0666), 0);
	test_write(&f->test, "manifests.d/30.yaml", SET("w", "5.0.0.0/8"));
	settle(f->store);
	assert_non_null(strstr(problem_with(f->store, "chmod go-w")->file, "30.yaml"));
	assert_listed(f->store, "v=2.0.0.0/8 w=4.0.0.0/8 x=1.0.0.0/8 ");
	assert_int_equal(chmod(path, 0644), 0);
	test_write(&f->test, "manifests.d/30.yaml", SET("w", "5.0.0.0/8"));
	assert_true(wait_log(f->store, &f->log, "~a/w=5.0.0.0/8|"));
}

static void test_resume(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "w", "3.0.0.0/8", NULL);
	struct watch_log log = { 0 };
	struct store_query query = test_query(NULL);
	struct store_list list;

	assert_int_equal(store_list(f->store, &query, 1, &list, NULL), 0);
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	reopen(f);
	/* The manifests are what they were. */
	test_watch_from(f->store, &log, list.version);
	assert_true(wait_log(f->store, &log, "|"));
	assert_string_equal(log.text, "+a/w=3.0.0.0/8|");
	/* They are not. */
	test_write(&f->test, "manifests.d/30.yaml", SET("z", "4.0.0.0/8"));
	assert_true(wait_log(f->store, &log, "+a/z"));
	memset(&log, 0, sizeof(log));
	test_watch_from(f->store, &log, list.version);
	assert_true(wait_log(f->store, &log, "!"));
	store_list_done(&list);
}

/* The folder may come later, and go. */
static void test_folder_appears(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *away = test_path(&f->test, "away");

	assert_int_equal(rename(f->test.manifests, away), 0);
	f->options.scan = 1;
	reopen(f);
	assert_listed(f->store, "");
	assert_int_equal(rename(away, f->test.manifests), 0);
	assert_true(wait_log(f->store, &f->log, "+a/x"));
	assert_listed(f->store, "v=2.0.0.0/8 x=1.0.0.0/8 ");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_merged),
		CASE(test_read_only),
		CASE(test_stable),
		CASE(test_edit_keeps_the_age),
		CASE(test_good_then_bad_at_once),
		CASE(test_skipped),
		CASE(test_together),
		CASE(test_list_document),
		CASE(test_not_a_text),
		CASE(test_syntax),
		CASE(test_bad_document),
		CASE(test_two_files),
		CASE(test_two_files_at_once),
		CASE(test_store_was_first),
		CASE(test_file_was_first),
		CASE(test_file_permissions),
		CASE(test_resume),
		CASE(test_folder_appears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
