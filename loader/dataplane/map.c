/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/map.h"
#include "dataplane/sys.h"

#define TURN_ROWS 1024

static bool is_percpu(__u32 type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool dp_map_is_array(const struct dp_map *map)
{
	return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS;
}

int dp_map_init(int fd, struct dp_map *ret_map, struct err *err)
{
	_cleanup_close_ int own = fd;
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &size);

	if (r)
		return err_errno(err, r, "map");
	*ret_map = (struct dp_map){
		.fd = TAKE_FD(own),
		.id = info.id,
		.type = info.type,
		.flags = info.map_flags,
		.key_size = info.key_size,
		.value_size = info.value_size,
		.entries = info.max_entries,
		.row_size = info.value_size,
	};
	if (is_percpu(info.type))
		ret_map->row_size =
			((size_t)info.value_size + 7) / 8 * 8 * (size_t)libbpf_num_possible_cpus();
	memcpy(ret_map->name, info.name, sizeof(ret_map->name));
	return 0;
}

void dp_map_done(struct dp_map *map)
{
	if (map->fd >= 0)
		close(map->fd);
	map->fd = -1;
}

int dp_map_get(const struct dp_map *map, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(map->fd, key, ret_value);
}

int dp_map_set(const struct dp_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(map->fd, key, value, BPF_ANY);
}

int dp_map_add(const struct dp_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(map->fd, key, value, BPF_NOEXIST);
}

int dp_map_delete(const struct dp_map *map, const void *key)
{
	return bpf_map_delete_elem(map->fd, key);
}

static bool no_batch(int error, __u32 done)
{
	return !done && (error == -MG_ENOTSUPP || error == -EOPNOTSUPP || error == -EINVAL);
}

static const void *row(const void *rows, size_t index, size_t size)
{
	return (const char *)rows + index * size;
}

static int set_single(const struct dp_map *map, const void *keys, const void *values, size_t count,
		      size_t *done)
{
	int r = 0;

	for (*done = 0; *done < count && !r; *done += !r)
		r = dp_map_set(map, row(keys, *done, map->key_size),
			       row(values, *done, map->row_size));
	return r;
}

int dp_map_set_batch(const struct dp_map *map, const void *keys, const void *values, size_t count,
		     size_t *ret_done)
{
	__u32 done = (__u32)count;
	size_t single = 0;
	int r;

	if (ret_done)
		*ret_done = 0;
	if (!count)
		return 0;
	r = bpf_map_update_batch(map->fd, keys, values, &done, NULL);
	if (r == -EFAULT) /* then the kernel leaves the count as it was */
		done = 0;
	if (r && no_batch(r, done == count ? 0 : done)) {
		r = set_single(map, keys, values, count, &single);
		done = (__u32)single;
	}
	if (ret_done)
		*ret_done = done;
	return r;
}

static int delete_single(const struct dp_map *map, const void *keys, size_t count, size_t *done)
{
	int r = 0;

	for (*done = 0; *done < count; (*done)++) {
		r = dp_map_delete(map, row(keys, *done, map->key_size));
		if (r && r != -ENOENT)
			return r;
	}
	return 0;
}

int dp_map_delete_batch(const struct dp_map *map, const void *keys, size_t count, size_t *ret_done)
{
	size_t done = 0, single;
	int r = 0;

	while (done < count) {
		__u32 turn = (__u32)(count - done);

		r = bpf_map_delete_batch(map->fd, row(keys, done, map->key_size), &turn, NULL);
		if (r && (r == -EFAULT || no_batch(r, turn == count - done ? 0 : turn))) {
			r = delete_single(map, row(keys, done, map->key_size), count - done,
					  &single);
			done += single;
			break;
		}
		done += turn;
		if (r == -ENOENT) /* the batch stops at a row that is gone: it is the next one */
			done++;
		else if (r)
			break;
	}
	if (ret_done)
		*ret_done = done < count ? done : count;
	return r == -ENOENT ? 0 : r;
}

static int next_single(const struct dp_map *map, struct dp_cursor *cursor, void *keys, void *values,
		       size_t max, size_t *count)
{
	int r = 0;

	while (*count < max) {
		char *key = (char *)keys + *count * map->key_size;

		r = bpf_map_get_next_key(map->fd, cursor->started ? cursor->token : NULL, key);
		if (r)
			break;
		cursor->started = true;
		memcpy(cursor->token, key, map->key_size);
		/* A row that went meanwhile is left out. */
		if (!dp_map_get(map, key, (char *)values + *count * map->row_size))
			(*count)++;
	}
	if (r != -ENOENT)
		return r;
	cursor->end = true;
	return 0;
}

int dp_map_next(const struct dp_map *map, struct dp_cursor *cursor, void *keys, void *values,
		size_t max, size_t *ret_count)
{
	__u32 count = (__u32)max;
	__u8 token[sizeof(cursor->token)];
	int r;

	*ret_count = 0;
	if (cursor->end)
		return 0;
	if (map->key_size > sizeof(cursor->token))
		return -E2BIG;
	if (cursor->single)
		return next_single(map, cursor, keys, values, max, ret_count);
	r = bpf_map_lookup_batch(map->fd, cursor->started ? cursor->token : NULL, token, keys,
				 values, &count, NULL);
	if (r && r != -ENOENT) {
		if (cursor->started || !no_batch(r, count == max ? 0 : count))
			return r;
		cursor->single = true;
		return next_single(map, cursor, keys, values, max, ret_count);
	}
	cursor->started = true;
	cursor->end = r == -ENOENT;
	memcpy(cursor->token, token, sizeof(token));
	*ret_count = count;
	return 0;
}

int dp_map_each(const struct dp_map *map, dp_row_fn function, void *data)
{
	_cleanup_free_ char *keys = xmalloc((size_t)TURN_ROWS * map->key_size);
	_cleanup_free_ char *values = xmalloc((size_t)TURN_ROWS * map->row_size);
	struct dp_cursor cursor = { 0 };
	size_t count;
	int r;

	while (!cursor.end) {
		r = dp_map_next(map, &cursor, keys, values, TURN_ROWS, &count);
		for (size_t i = 0; i < count && !r; i++)
			r = function(row(keys, i, map->key_size), row(values, i, map->row_size),
				     data);
		if (r)
			return r;
	}
	return 0;
}

static int count_row(const void *key, const void *value, void *data)
{
	(void)key;
	(void)value;
	(*(__u64 *)data)++;
	return 0;
}

int dp_map_fill(const struct dp_map *map, __u64 *ret_rows)
{
	__u64 rows = 0;
	int r;

	if (dp_map_is_array(map)) {
		*ret_rows = map->entries;
		return 0;
	}
	r = dp_map_each(map, count_row, &rows);
	if (!r)
		*ret_rows = rows;
	return r;
}

int dp_map_memory(const struct dp_map *map, __u64 *ret_bytes)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long bytes;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map->fd);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "memlock: %llu", &bytes) != 1)
			continue;
		*ret_bytes = bytes;
		return 0;
	}
	return -ENODATA;
}

int dp_map_sum(const struct dp_map *map, __u32 index, __u64 *ret_sum)
{
	size_t words = (map->value_size + 7) / 8, total = map->row_size / 8;
	_cleanup_free_ __u64 *values = xcalloc(total, 8);
	int r = dp_map_get(map, &index, values);

	if (r)
		return r;
	memset(ret_sum, 0, words * 8);
	for (size_t i = 0; i < total; i++)
		ret_sum[i % words] += values[i];
	return 0;
}
