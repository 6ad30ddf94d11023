/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/arena.h"
#include "state/table.h"

#define FIRST_ROOM 64

void table_init(struct table *table, const char *map, size_t key_size, size_t value_size)
{
	*table = (struct table){
		.map = map, .key_size = key_size, .value_size = value_size, .sealed = true
	};
}

void table_done(struct table *table)
{
	free(table->rows);
	table->rows = NULL;
	table->count = 0;
	table->room = 0;
}

void table_add(struct table *table, const void *key, const void *value)
{
	size_t size = table_row_size(table);
	unsigned char *row;

	if (table->count == table->room) {
		table->room = table->room ? table->room * 2 : FIRST_ROOM;
		table->rows = xrealloc(table->rows, table->room, size);
	}
	row = table->rows + table->count++ * size;
	memcpy(row, key, table->key_size);
	memcpy(row + table->key_size, value, table->value_size);
	table->sealed = false;
}

/* qsort_r is glibc's merge sort while memory lasts, but not stable by contract: the position of
 * a row decides between equal keys, so rows are sorted through an index of pointers. */
static int by_key_then_place(const void *a, const void *b, void *key_size)
{
	const unsigned char *x = *(unsigned char *const *)a;
	const unsigned char *y = *(unsigned char *const *)b;
	int order = memcmp(x, y, *(size_t *)key_size);

	return order ? order : (x > y) - (x < y);
}

static bool is_sorted(const struct table *table)
{
	for (size_t i = 1; i < table->count; i++) {
		if (memcmp(table_key(table, i - 1), table_key(table, i), table->key_size) >= 0)
			return false;
	}
	return true;
}

void table_seal(struct table *table)
{
	size_t size = table_row_size(table);
	_cleanup_free_ unsigned char **order = NULL;
	unsigned char *sorted;
	size_t kept = 0;

	if (table->sealed)
		return;
	table->sealed = true;
	if (is_sorted(table))
		return;
	order = xcalloc(table->count, sizeof(*order));
	for (size_t i = 0; i < table->count; i++)
		order[i] = table->rows + i * size;
	qsort_r(order, table->count, sizeof(*order), by_key_then_place, &table->key_size);
	sorted = xrealloc(NULL, table->count, size);
	for (size_t i = 0; i < table->count; i++) {
		if (kept && !memcmp(sorted + (kept - 1) * size, order[i], table->key_size))
			kept--;
		memcpy(sorted + kept++ * size, order[i], size);
	}
	free(table->rows);
	table->rows = sorted;
	table->room = table->count;
	table->count = kept;
}

void table_clear(struct table *table)
{
	table->count = 0;
	table->sealed = true;
}

const void *table_find(const struct table *table, const void *key)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(table_key(table, middle), key, table->key_size);

		if (!order)
			return table_value(table, middle);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool table_equal(const struct table *a, const struct table *b)
{
	return a->count == b->count && a->key_size == b->key_size &&
	       a->value_size == b->value_size &&
	       (!a->count || !memcmp(a->rows, b->rows, a->count * table_row_size(a)));
}
