/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows of a map that changed its size or the size of its rows, copied into the new map. Rows grow
 * at their end, where zero means "not known": a longer row gets zeroes, a shorter one loses its
 * end, so a step up and a step down are alike. A change of meaning is another MG_RUNTIME_VERSION,
 * and then nothing is copied (docs/decisions/flows-are-copied.md).
 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/dp.h"

#define TURN_ROWS 1024

struct turn {
	const struct dp_map *from;
	const struct dp_map *to;
	unsigned char *keys;
	unsigned char *old;   /* values of from */
	unsigned char *fresh; /* values of to */
	size_t count;
};

static void convert(const struct turn *turn)
{
	size_t from = turn->from->row_size, to = turn->to->row_size;

	memset(turn->fresh, 0, TURN_ROWS * to);
	for (size_t i = 0; i < turn->count; i++)
		memcpy(turn->fresh + i * to, turn->old + i * from, from < to ? from : to);
}

/* A smaller map may be full: the rest stays behind. */
static int put_all(const struct turn *turn)
{
	int r = dp_map_set_batch(turn->to, turn->keys, turn->fresh, turn->count, NULL);

	return r == -E2BIG || r == -ENOSPC ? 0 : r;
}

/* A row that stands is the new programs' own, and newer. */
static int put_missing(const struct turn *turn)
{
	for (size_t i = 0; i < turn->count; i++) {
		int r = dp_map_add(turn->to, turn->keys + i * turn->to->key_size,
				   turn->fresh + i * turn->to->row_size);

		if (r && r != -EEXIST && r != -E2BIG && r != -ENOSPC)
			return r;
	}
	return 0;
}

static int carry(const struct dp_map *from, const struct dp_map *to, bool overwrite)
{
	_cleanup_free_ unsigned char *keys = xcalloc(TURN_ROWS, from->key_size);
	_cleanup_free_ unsigned char *old = xcalloc(TURN_ROWS, from->row_size);
	_cleanup_free_ unsigned char *fresh = xcalloc(TURN_ROWS, to->row_size);
	struct turn turn = { from, to, keys, old, fresh, 0 };
	struct dp_cursor cursor = { 0 };
	int r = 0;

	while (!r && !cursor.end) {
		r = dp_map_next(from, &cursor, keys, old, TURN_ROWS, &turn.count);
		if (r || !turn.count)
			continue;
		convert(&turn);
		r = overwrite ? put_all(&turn) : put_missing(&turn);
	}
	return r;
}

/* Rows of an array are always there, so "missing" has no meaning: the bulk has to do. */
static bool carries(const struct dp *dp, const struct dp_row *row, bool overwrite)
{
	return row->class == MAP_RUNTIME && row->made && row->former.fd >= 0 &&
	       dp->former_runtime && row->former.key_size == row->map.key_size &&
	       (overwrite || !dp_map_is_array(&row->map)) &&
	       dp_map_is_array(&row->former) == dp_map_is_array(&row->map);
}

int dp_carry_rows(const struct dp *dp, bool overwrite, struct err *err)
{
	for (size_t i = 0; i < dp->row_count; i++) {
		const struct dp_row *row = &dp->rows[i];
		int r;

		if (!carries(dp, row, overwrite))
			continue;
		r = carry(&row->former, &row->map, overwrite);
		if (r)
			return err_errno(err, r, "copy of map %s", row->name);
	}
	return 0;
}
