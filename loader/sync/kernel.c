/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync's operations on the maps of struct dp.
 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "dataplane/load.h"
#include "sync/sync.h"

struct reading {
	struct table *table;
	unsigned char *zero; /* a value of an array's empty row; NULL: no array */
};

static const struct dp_map *find(void *data, const char *name, size_t key_size)
{
	const struct dp_map *map = dp_get_map(data, name);

	return map && map->key_size == key_size ? map : NULL;
}

static int on_row(const void *key, const void *value, void *data)
{
	struct reading *reading = data;

	if (!reading->zero || memcmp(value, reading->zero, reading->table->value_size) != 0)
		table_add(reading->table, key, value);
	return 0;
}

static int kernel_read(void *data, struct table *table)
{
	const struct dp_map *map = find(data, table->map, table->key_size);
	struct reading reading = { .table = table };
	_cleanup_free_ unsigned char *zero = NULL;
	int r;

	if (!map || map->row_size != table->value_size)
		return -EINVAL;
	if (dp_map_is_array(map))
		reading.zero = zero = xcalloc(1, table->value_size);
	r = dp_map_each(map, on_row, &reading);
	table_seal(table);
	return r;
}

static int kernel_set(void *data, const char *name, const void *keys, const void *values,
		      size_t count, size_t *ret_done)
{
	const struct dp_map *map = dp_get_map(data, name);

	*ret_done = 0;
	return map ? dp_map_set_batch(map, keys, values, count, ret_done) : -EINVAL;
}

static int kernel_remove(void *data, const char *name, const void *keys, size_t count,
			 size_t *ret_done)
{
	const struct dp_map *map = dp_get_map(data, name);
	_cleanup_free_ unsigned char *zeroes = NULL;

	*ret_done = 0;
	if (!map)
		return -EINVAL;
	if (!dp_map_is_array(map))
		return dp_map_delete_batch(map, keys, count, ret_done);
	zeroes = xcalloc(count, map->row_size);
	return dp_map_set_batch(map, keys, zeroes, count, ret_done);
}

struct sync *sync_new_dp(struct dp *dp)
{
	static const struct sync_ops ops = { kernel_read, kernel_set, kernel_remove };

	return sync_new(&ops, dp);
}
