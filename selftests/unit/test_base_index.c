/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs and indexes: pieces do not overlap and serve again; an index against an array of flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/slab.h"

static void test_pieces(void **state)
{
	static unsigned char *piece[3000];
	struct slab slab = { 0 };
	unsigned char *first;

	(void)state;
	for (size_t i = 0; i < 3000; i++) {
		size_t size = i % (SLAB_PIECE_MAX + 100);

		piece[i] = slab_alloc(&slab, size);
		assert_int_equal((uintptr_t)piece[i] % 8, 0);
		for (size_t k = 0; k < size; k++)
			assert_int_equal(piece[i][k], 0);
		memset(piece[i], (int)(i % 255 + 1), size);
	}
	for (size_t i = 0; i < 3000; i++) {
		size_t size = i % (SLAB_PIECE_MAX + 100);

		for (size_t k = 0; k < size; k++)
			assert_int_equal(piece[i][k], i % 255 + 1);
		slab_free(&slab, piece[i], size);
	}
	assert_int_equal(slab.used, 0);
	first = slab_alloc(&slab, 24);
	slab_free(&slab, first, 24);
	assert_ptr_equal(slab_alloc(&slab, 20), first);
	slab_free(&slab, first, 20);
	slab_done(&slab);
}

/* A poor hash, so that entries crowd and wrap around the array's end. */
static uint32_t poor(const void *context, uintptr_t word)
{
	(void)context;
	return (uint32_t)(word % 97) * 0x02900000U | 0xff;
}

static bool has(const struct index *index, uintptr_t wanted)
{
	index_for_each_of(index, poor(NULL, wanted), word)
	{
		if (word == wanted)
			return true;
	}
	return false;
}

#define WORDS 2000

static void test_index(void **state)
{
	struct index index = { .hash = poor };
	static bool there[WORDS + 1];
	uint32_t count = 0;

	(void)state;
	srandom(3);
	assert_false(has(&index, 1));
	for (int i = 0; i < 60000; i++) {
		uintptr_t word = 1 + (uintptr_t)random() % WORDS;
		bool adds = random() % 100 < (i / 10000 % 2 ? 30 : 70);

		if (adds == there[word])
			continue;
		adds ? index_add(&index, word) : index_del(&index, word);
		there[word] = adds;
		assert_int_equal(has(&index, word), adds);
	}
	for (uintptr_t word = 1; word <= WORDS; word++) {
		assert_int_equal(has(&index, word), there[word]);
		count += there[word];
	}
	assert_int_equal(index.count, count);
	index_for_each(&index, word) count -= there[word];
	assert_int_equal(count, 0);
	index_done(&index);
}

static void test_replace(void **state)
{
	struct index index = { .hash = poor };

	(void)state;
	index_add(&index, 5);
	index_add(&index, 6);
	index_replace(&index, 5, 5 + 97);
	assert_false(has(&index, 5));
	assert_true(has(&index, 5 + 97));
	assert_true(has(&index, 6));
	assert_int_equal(index.count, 2);
	index_done(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
