/* SPDX-License-Identifier: Apache-2.0 */
/* How many lines a log takes (agent/log_rate.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/log_rate.h"

/* How many of so many at one moment are let through, and what the last of them says was left out
 * before it. */
static unsigned int at(struct log_rate *rate, int64_t now, unsigned int asked, uint64_t *ret_out)
{
	unsigned int taken = 0;
	uint64_t left_out;

	for (unsigned int i = 0; i < asked; i++) {
		/* 10 a second, 5 at once */
		if (!log_rate_takes(rate, now, 10, 1000, 5, &left_out))
			continue;
		taken++;
		*ret_out += left_out;
	}
	return taken;
}

static void test_burst_and_rate(void **state)
{
	struct log_rate rate = { 0 };
	uint64_t out = 0;

	(void)state;
	assert_int_equal(at(&rate, 1000000, 100, &out), 5);
	assert_int_equal(out, 0);
	assert_int_equal(at(&rate, 1000099, 10, &out), 0);
	assert_int_equal(at(&rate, 1000100, 10, &out), 1);
	assert_int_equal(out, 95 + 10);
	/* a second later there is room for the burst again, and no more */
	out = 0;
	assert_int_equal(at(&rate, 1002000, 100, &out), 5);
	assert_int_equal(out, 9);
}

/* Never more than the burst and what the time gives, however it comes. */
static void test_long_run(void **state)
{
	struct log_rate rate = { 0 };
	unsigned int taken = 0;
	uint64_t out = 0;

	(void)state;
	for (int64_t now = 5000; now < 65000; now += 7)
		taken += at(&rate, now, 3, &out);
	assert_in_range(taken, 600, 605);
}

static void test_slow_and_fast(void **state)
{
	struct log_rate rate = { 0 };
	uint64_t out;

	(void)state;
	/* one a day, no burst */
	assert_true(log_rate_takes(&rate, 1, 1, 86400000, 0, &out));
	assert_false(log_rate_takes(&rate, 86400000, 1, 86400000, 0, &out));
	assert_true(log_rate_takes(&rate, 86400001, 1, 86400000, 0, &out));
	assert_int_equal(out, 1);
	/* more than one a millisecond is one a millisecond */
	rate = (struct log_rate){ 0 };
	assert_true(log_rate_takes(&rate, 1, 9999, 1000, 1, &out));
	assert_false(log_rate_takes(&rate, 1, 9999, 1000, 1, &out));
	assert_true(log_rate_takes(&rate, 2, 9999, 1000, 1, &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_rate),
		cmocka_unit_test(test_long_run),
		cmocka_unit_test(test_slow_and_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
