/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: alignment, packing of texts, growth, and one that fits exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alignment(void **state)
{
	_cleanup_arena_ struct arena *arena = arena_new();

	(void)state;
	for (size_t i = 1; i < 2000; i++) {
		unsigned char *p = arena_alloc(arena, i % 37 + 1);

		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t k = 0; k < i % 37 + 1; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xff, i % 37 + 1);
		assert_string_equal(arena_strdup(arena, "odd"), "odd");
	}
}

static void test_texts_are_packed(void **state)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	char *a, *b;

	(void)state;
	a = arena_strdup(arena, "abc");
	b = arena_printf(arena, "%d", 42);
	assert_ptr_equal(b, a + 4);
	assert_string_equal(a, "abc");
	assert_string_equal(b, "42");
	assert_int_equal(arena_used(arena), 7);
	assert_null(arena_strdup(arena, NULL));
}

static void test_large(void **state)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	char *small = arena_strdup(arena, "small"), *large = arena_alloc(arena, 1 << 20);

	(void)state;
	memset(large, 'x', 1 << 20);
	assert_string_equal(small, "small");
	assert_true(arena_bytes(arena) >= 1 << 20);
}

static void test_sized(void **state)
{
	_cleanup_arena_ struct arena *arena = arena_new_sized(256);
	size_t bytes = arena_bytes(arena);

	(void)state;
	arena_alloc(arena, 200);
	arena_strdup(arena, "0123456789");
	assert_int_equal(arena_bytes(arena), bytes);
	assert_true(bytes < 256 + 64);
	arena_alloc(arena, 256); /* more than was asked for is no error */
	assert_true(arena_bytes(arena) > bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_texts_are_packed),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_sized),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
