/* SPDX-License-Identifier: Apache-2.0 */
/* The annotation of objects that wait to be confirmed: written, read, carried on, and what is none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "model/unconfirmed.h"

#define UNTIL 1795000000123ULL

static json_t *object(const char *version, int port)
{
	return json_pack("{s:s,s:{s:s,s:s,s:{s:s}},s:{s:i}}", "kind", "NetworkPolicy", "metadata",
			 "name", "x", "resourceVersion", version, "annotations", "mine", "1",
			 "spec", "port", port);
}

static void carries_what_it_was(void **state)
{
	_cleanup_json_ json_t *before = object("7", 80), *now = object("7", 81), *former = NULL;
	struct unconfirmed read;
	struct err err;

	(void)state;
	assert_false(unconfirmed_read(now, &read));
	assert_int_equal(unconfirmed_mark(now, before, UNTIL, &err), 0);
	assert_true(unconfirmed_read(now, &read));
	assert_true(read.until == UNTIL);
	former = unconfirmed_former(&read);
	assert_null(json_at(former, "metadata.resourceVersion"));
	assert_string_equal(json_text_at(former, "metadata.annotations.mine"), "1");
	assert_int_equal(json_integer_value(json_at(former, "spec.port")), 80);
	unconfirmed_done(&read);
	unconfirmed_clear(now);
	assert_false(unconfirmed_read(now, &read));
	assert_string_equal(json_text_at(now, "metadata.annotations.mine"), "1");
}

/* A second one while the first waits; and where there was none. */
static void carries_the_first_former(void **state)
{
	_cleanup_json_ json_t *first = object("1", 80), *second = object("2", 81);
	struct unconfirmed read;
	struct err err;

	(void)state;
	assert_int_equal(unconfirmed_mark(first, NULL, UNTIL, &err), 0);
	assert_int_equal(unconfirmed_mark(second, first, UNTIL + 1, &err), 0);
	assert_true(unconfirmed_read(second, &read));
	assert_null(unconfirmed_former(&read));
	assert_true(read.until == UNTIL + 1);
	unconfirmed_done(&read);
}

static void takes_nothing_else(void **state)
{
	static const char *const texts[] = { "",
					     "{}",
					     "[]",
					     "{\"until\":1,\"former\":null}",
					     "{\"until\":\"x\",\"former\":null}",
					     "{\"until\":\"2026-01-01T00:00:00Z\"}" };
	struct unconfirmed read;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_json_ json_t *one = object("1", 1);

		json_object_set_new(
			json_object_get(json_object_get(one, "metadata"), "annotations"),
			UNCONFIRMED_ANNOTATION, json_string(texts[i]));
		assert_false(unconfirmed_read(one, &read));
	}
}

static void has_a_limit(void **state)
{
	_cleanup_json_ json_t *before = object("1", 1), *now = object("1", 2);
	_cleanup_free_ char *text = xcalloc(UNCONFIRMED_MAX + 1, 1);
	struct unconfirmed read;
	struct err err;

	(void)state;
	memset(text, 'x', UNCONFIRMED_MAX);
	json_object_set_new(json_object_get(before, "spec"), "text", json_string(text));
	assert_int_equal(unconfirmed_mark(now, before, UNTIL, &err), -E2BIG);
	assert_false(unconfirmed_read(now, &read));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_what_it_was),
		cmocka_unit_test(carries_the_first_former),
		cmocka_unit_test(takes_nothing_else),
		cmocka_unit_test(has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
