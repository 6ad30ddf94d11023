/* SPDX-License-Identifier: Apache-2.0 */
/* loader/dataplane: load, pins, maps, pages, control, events, trace copy, with the tests' object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "dataplane/load.h"
#include "dataplane/pages.h"
#include "selftests/lib/loaded.h"
#include "selftests/lib/sandbox.h"

static void pages_grow_and_stay(void **state)
{
	struct loaded *f = *state;
	const struct dp_map *outer = dp_get_map(f->dp, "mg_pages");
	struct mg_page page = { { 7, 8, 9 } }, got;
	struct dp_pages *pages;

	OK(f, dp_pages_open(f->root, outer, &pages, &f->err));
	assert_int_equal(dp_pages_capacity(pages), MG_CHUNK_PAGES);
	OK(f, dp_pages_write(pages, 3, &page));
	OK(f, dp_pages_read(pages, 5000, &got)); /* no memory yet: zero */
	assert_int_equal(got.v[0], 0);
	OK(f, dp_pages_write(pages, 5000, &page));
	OK(f, dp_pages_poke(pages, 5000, 255, 77));
	assert_int_equal(dp_pages_capacity(pages), 2 * MG_CHUNK_PAGES);
	assert_int_equal(dp_pages_write(pages, MG_CHUNKS_MAX * MG_CHUNK_PAGES, &page), -E2BIG);
	assert_int_equal(dp_pages_poke(pages, 3, MG_PAGE_ENTRIES, 1), -E2BIG);
	dp_pages_close(pages);
	loaded_again(f);
	OK(f, dp_pages_open(f->root, dp_get_map(f->dp, "mg_pages"), &pages, &f->err));
	OK(f, dp_pages_read(pages, 5000, &got));
	assert_int_equal(got.v[2], 9);
	assert_int_equal(got.v[255], 77);
	OK(f, dp_pages_read(pages, 3, &got));
	assert_int_equal(got.v[1], 8);
	dp_pages_close(pages);
}

/* What the running agent does: no program or map is opened by its id. */
static int grow_in_child(struct loaded *f)
{
	const struct mg_page page = { { 1, 2, 3 } };
	struct dp_pages *pages;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (sandbox_drop() ||
		    dp_pages_open(f->root, dp_get_map(f->dp, "mg_pages"), &pages, NULL))
			_exit(2);
		_exit(dp_pages_write(pages, 7, &page) || dp_pages_write(pages, 9000, &page) ||
		      dp_grace(f->dp));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void grows_without_sys_admin(void **state)
{
	struct loaded *f = *state;
	struct dp_pages *pages;
	struct mg_page got;

	assert_int_equal(grow_in_child(f), 0);
	OK(f, dp_pages_open(f->root, dp_get_map(f->dp, "mg_pages"), &pages, &f->err));
	OK(f, dp_pages_read(pages, 9000, &got));
	assert_int_equal(got.v[2], 3);
	dp_pages_close(pages);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, loaded_setup, loaded_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(pages_grow_and_stay),
		CASE(grows_without_sys_admin),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
