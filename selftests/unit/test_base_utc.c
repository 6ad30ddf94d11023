/* SPDX-License-Identifier: Apache-2.0 */
/* Times as the API writes them: there and back, offsets, fractions, and what is no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utc.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{ "2025-01-01T00:00:10Z", 1735689610000 },
		{ "2025-01-01T02:00:10.5+02:00", 1735689610500 },
		{ "2024-12-31T19:00:10.000999999-05:00", 1735689610000 },
		{ "1970-01-01T00:00:00.001Z", 1 },
		{ "1969-12-31T23:59:59Z", 0 },
		{ "yesterday", 0 },
		{ "", 0 },
		{ NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(utc_parse(cases[i].text), cases[i].ms);
}

static void test_format(void **state)
{
	char text[UTC_TEXT_MAX];

	(void)state;
	assert_string_equal(utc_format(1735689610042, text), "2025-01-01T00:00:10.042Z");
	assert_int_equal(utc_parse(text), 1735689610042);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
