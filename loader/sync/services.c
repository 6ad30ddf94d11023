/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/services.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

static int on_number(const void *key, const void *value, void *data)
{
	struct mg_digest digest;
	uint32_t number;

	memcpy(&number, key, sizeof(number));
	memcpy(&digest, value, sizeof(digest));
	services_restore_number(data, number, &digest);
	return 0;
}

static int on_back(const void *key, const void *value, void *data)
{
	struct mg_back_key at;
	struct mg_back row;

	memcpy(&at, key, sizeof(at));
	memcpy(&row, value, sizeof(row));
	services_restore_back(data, &at, &row);
	return 0;
}

static int on_member(const void *key, const void *value, void *data)
{
	struct mg_member member;

	(void)value;
	memcpy(&member, key, sizeof(member));
	services_restore_member(data, &member);
	return 0;
}

static int on_range(const void *key, const void *value, void *data)
{
	struct mg_range_key range;

	(void)value;
	memcpy(&range, key, sizeof(range));
	services_restore_range(data, &range);
	return 0;
}

static int on_front(const void *key, const void *value, void *data)
{
	struct mg_front_key at;
	struct mg_front row;

	memcpy(&at, key, sizeof(at));
	memcpy(&row, value, sizeof(row));
	services_restore_front(data, &at, &row);
	return 0;
}

static int restore(const struct dp *dp, struct services *services, struct err *err)
{
	static const struct {
		const char *map;
		dp_row_fn function;
	} maps[] = { { "mg_service_dig", on_number },
		     { "mg_backs", on_back },
		     { "mg_members", on_member },
		     { "mg_ranges", on_range },
		     { "mg_fronts", on_front } };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		const struct dp_map *map = dp_get_map(dp, maps[i].map);
		int r = map ? dp_map_each(map, maps[i].function, services) : -ENOENT;

		if (r < 0)
			return err_errno(err, r, "read %s", maps[i].map);
	}
	services_restore_done(services);
	return 0;
}

static int write_rows(const struct dp *dp, const struct service_rows *rows, struct err *err)
{
	const struct dp_map *map = dp_get_map(dp, rows->map);
	int r;

	if (!map || map->key_size != rows->key_size || map->value_size != rows->value_size)
		return err_set(err, -EINVAL, "map %s", rows->map);
	if (rows->remove)
		r = dp_map_delete_batch(map, rows->keys, rows->count, NULL);
	else
		r = dp_map_set_batch(map, rows->keys, rows->values, rows->count, NULL);
	return r < 0 ? err_errno(err, r, "map %s (services)", rows->map) : 0;
}

static int write_plan(const struct dp *dp, const struct service_plan *plan, size_t *ret_rows,
		      struct err *err)
{
	for (unsigned int i = 0; i < SERVICE_RANKS; i++) {
		int r = write_rows(dp, &plan->rows[i], err);

		if (r < 0)
			return r;
		*ret_rows += plan->rows[i].count;
	}
	return 0;
}

int services_sync(const struct dp *dp, struct services *services, size_t *ret_rows, struct err *err)
{
	const struct service_plan *plan;
	int r = 0;

	*ret_rows = 0;
	if (!services_known(services))
		r = restore(dp, services, err);
	if (r < 0)
		return r;
	plan = services_build(services);
	if (!plan)
		return 0;
	r = write_plan(dp, plan, ret_rows, err);
	if (r < 0)
		services_forget(services);
	else
		services_applied(services);
	return r;
}
