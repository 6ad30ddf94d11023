/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desired rows of one map: what state/ makes and sync/ compares with the kernel. Rows are fixed in
 * size, a key followed by its value, sorted by key (memcmp) once sealed. Pure memory.
 *
 * The builder owns its rows; table_done() frees them. A key that is added twice keeps the last
 * value. Structures of abi/ have no implicit padding, so memcmp compares what is meant.
 */
#ifndef MARGAY_STATE_TABLE_H
#define MARGAY_STATE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct table {
	const char *map; /* name, static */
	size_t key_size;
	size_t value_size;
	size_t count;
	size_t room;
	unsigned char *rows; /* count rows of key_size + value_size bytes */
	bool sealed;
};

void table_init(struct table *table, const char *map, size_t key_size, size_t value_size);
void table_done(struct table *table);
#define _cleanup_table_ _cleanup_(table_done)

/* Aborts when out of memory. Adding opens a sealed table again. */
void table_add(struct table *table, const void *key, const void *value);
/* Sorts and drops earlier values of equal keys. */
void table_seal(struct table *table);
/* Empty again, memory kept. */
void table_clear(struct table *table);

static inline size_t table_row_size(const struct table *table)
{
	return table->key_size + table->value_size;
}

static inline const void *table_key(const struct table *table, size_t index)
{
	return table->rows + index * table_row_size(table);
}

static inline const void *table_value(const struct table *table, size_t index)
{
	return table->rows + index * table_row_size(table) + table->key_size;
}

/* Value of a key in a sealed table, or NULL. */
const void *table_find(const struct table *table, const void *key);
bool table_equal(const struct table *a, const struct table *b);

#endif
