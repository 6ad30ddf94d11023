/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of manifests that stops being root's alone while the store is in use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "selftests/lib/store_test.h"

static const char *set_of(const char *net)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 "apiVersion: projectcalico.org/v3\nkind: NetworkSet\n"
		 "metadata: {name: x, namespace: a}\nspec: {nets: [%s]}\n",
		 net);
	return text;
}

/* It is named, what was read stays in force, and the store's changes are not held up. */
static void test_untrusted_while_running(void **state)
{
	struct store_test test;
	const struct store_options options = { .create = true,
					       .manifests = test.manifests,
					       .instance = "n1" };
	const struct store_problem *problem;
	struct watch_log log = { 0 };
	struct store *store;

	(void)state;
	store_test_init(&test);
	assert_int_equal(mkdir(test.manifests, 0755), 0);
	test_write(&test, "manifests.d/x.yaml", set_of("1.0.0.0/8"));
	store = store_test_open(&test, &options);
	test_watch(store, &log);
	settle(store);
	assert_int_equal(chmod(test.manifests, 0777), 0);
	test_write(&test, "manifests.d/x.yaml", set_of("2.0.0.0/8"));
	store_test_put(store, "a", "y", "3.0.0.0/8");
	assert_true(wait_log(store, &log, "+a/y=3.0.0.0/8|"));
	assert_null(strstr(log.text, "a/x"));
	assert_int_equal(store_dispatch(store, NULL), 0);
	assert_int_equal(store_problems(store, &problem, NULL), 1);
	assert_string_equal(problem->file, test.manifests);
	assert_non_null(strstr(problem->text, "chmod go-w"));
	assert_true(problem->served);
	assert_int_equal(chmod(test.manifests, 0755), 0);
	test_write(&test, "manifests.d/x.yaml", set_of("4.0.0.0/8"));
	assert_true(wait_log(store, &log, "~a/x=4.0.0.0/8|"));
	assert_int_equal(store_problems(store, NULL, NULL), 0);
	store_close(store);
	store_test_done(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_untrusted_while_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
