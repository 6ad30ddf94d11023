/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "state/service_own.h"

static const struct {
	const char *map;
	size_t key_size, value_size;
} ranks[SERVICE_RANKS / 2] = {
	[RANK_DIGEST] = { "mg_service_dig", sizeof(__u32), sizeof(struct mg_digest) },
	[RANK_BACK] = { "mg_backs", sizeof(struct mg_back_key), sizeof(struct mg_back) },
	[RANK_MEMBER] = { "mg_members", sizeof(struct mg_member), sizeof(__u32) },
	[RANK_RANGE] = { "mg_ranges", sizeof(struct mg_range_key), sizeof(__u32) },
	[RANK_FRONT] = { "mg_fronts", sizeof(struct mg_front_key), sizeof(struct mg_front) },
};

void service_plan_init(struct service_plan *plan)
{
	for (unsigned int i = 0; i < SERVICE_RANKS; i++) {
		bool remove = i >= SERVICE_RANKS / 2;
		unsigned int rank = remove ? SERVICE_RANKS - 1 - i : i;

		plan->rows[i] = (struct service_rows){ .map = ranks[rank].map,
						       .remove = remove,
						       .key_size = ranks[rank].key_size,
						       .value_size = ranks[rank].value_size };
	}
}

void service_plan_clear(struct service_plan *plan)
{
	for (unsigned int i = 0; i < SERVICE_RANKS; i++)
		plan->rows[i].count = 0;
}

void service_plan_done(struct service_plan *plan)
{
	for (unsigned int i = 0; i < SERVICE_RANKS; i++) {
		free(plan->rows[i].keys);
		free(plan->rows[i].values);
	}
}

bool service_plan_is_empty(const struct service_plan *plan)
{
	for (unsigned int i = 0; i < SERVICE_RANKS; i++) {
		if (plan->rows[i].count)
			return false;
	}
	return true;
}

static void add_key(struct service_rows *rows, const void *key)
{
	if (rows->count == rows->room) {
		rows->room = rows->room ? rows->room * 2 : 16;
		rows->keys = xrealloc(rows->keys, rows->room, rows->key_size);
		if (!rows->remove)
			rows->values = xrealloc(rows->values, rows->room, rows->value_size);
	}
	memcpy(rows->keys + rows->count * rows->key_size, key, rows->key_size);
}

void service_plan_set(struct service_plan *plan, unsigned int rank, const void *key,
		      const void *value)
{
	struct service_rows *rows = &plan->rows[rank];

	add_key(rows, key);
	memcpy(rows->values + rows->count * rows->value_size, value, rows->value_size);
	rows->count++;
}

void service_plan_remove(struct service_plan *plan, unsigned int rank, const void *key)
{
	struct service_rows *rows = &plan->rows[SERVICE_RANKS - 1 - rank];

	add_key(rows, key);
	rows->count++;
}
