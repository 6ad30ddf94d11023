/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/services_world.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/decode.h"

static const char *const names[MAPS] = { "mg_service_dig", "mg_backs", "mg_members", "mg_ranges",
					 "mg_fronts" };

static struct map_row *row_of(const struct services_world *world, unsigned int map, const void *key,
			      size_t size)
{
	unsigned char padded[24] = { 0 };
	struct map_row *row;

	memcpy(padded, key, size);
	HASH_FIND(hh, world->maps[map], padded, sizeof(padded), row);
	return row;
}

static void put(struct services_world *world, unsigned int map, const struct service_rows *rows,
		size_t i)
{
	const unsigned char *key = rows->keys + i * rows->key_size;
	struct map_row *row = row_of(world, map, key, rows->key_size);

	if (rows->remove) {
		if (row) {
			HASH_DEL(world->maps[map], row);
			free(row);
		}
		return;
	}
	if (!row) {
		row = xcalloc(1, sizeof(*row));
		memcpy(row->key, key, rows->key_size);
		HASH_ADD(hh, world->maps[map], key, sizeof(row->key), row);
	}
	memcpy(row->value, rows->values + i * rows->value_size, rows->value_size);
}

const struct mg_back *services_world_back(const struct services_world *world, uint32_t set,
					  uint32_t slot)
{
	const struct mg_back_key key = { .set = set, .slot = slot };
	const struct map_row *row = row_of(world, BACKS, &key, sizeof(key));

	return row ? (const struct mg_back *)row->value : NULL;
}

/* What a program may read at this moment leads to a row. */
static void check_moment(const struct services_world *world)
{
	const struct map_row *row, *next;

	HASH_ITER(hh, world->maps[FRONTS], row, next) {
		const struct mg_front *front = (const struct mg_front *)row->value;

		for (uint32_t slot = 0; slot < front->count; slot++)
			assert_non_null(services_world_back(world, front->set, slot));
	}
}

static unsigned int map_named(const char *name)
{
	for (unsigned int i = 0; i < MAPS; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	fail_msg("map %s", name);
	return MAPS;
}

/* The first `most` rows alone: a write that fails there. */
void services_world_write(struct services_world *world, size_t most, bool every_moment)
{
	const struct service_plan *plan = services_build(world->services);
	size_t done = 0;

	world->written = 0;
	for (unsigned int i = 0; plan && i < SERVICE_RANKS; i++) {
		const struct service_rows *rows = &plan->rows[i];

		for (size_t n = 0; n < rows->count && done < most; n++, done++) {
			put(world, map_named(rows->map), rows, n);
			if (every_moment)
				check_moment(world);
		}
	}
	world->written = done;
	if (most == SIZE_MAX && plan) {
		services_applied(world->services);
		services_grace_done(world->services, services_builds(world->services));
	}
}

void services_world_restore(struct services_world *world)
{
	const struct map_row *row, *next;

	HASH_ITER(hh, world->maps[DIGESTS], row, next) {
		uint32_t number;

		memcpy(&number, row->key, sizeof(number));
		services_restore_number(world->services, number,
					(const struct mg_digest *)row->value);
	}
	HASH_ITER(hh, world->maps[BACKS], row, next)
		services_restore_back(world->services, (const struct mg_back_key *)row->key,
				      (const struct mg_back *)row->value);
	HASH_ITER(hh, world->maps[MEMBERS], row, next)
		services_restore_member(world->services, (const struct mg_member *)row->key);
	HASH_ITER(hh, world->maps[RANGES], row, next)
		services_restore_range(world->services, (const struct mg_range_key *)row->key);
	HASH_ITER(hh, world->maps[FRONTS], row, next)
		services_restore_front(world->services, (const struct mg_front_key *)row->key,
				       (const struct mg_front *)row->value);
	services_restore_done(world->services);
}

void services_world_sync(struct services_world *world)
{
	if (!services_known(world->services))
		services_world_restore(world);
	services_world_write(world, SIZE_MAX, true);
}

struct services_world services_world_new(void)
{
	return (struct services_world){ .services = services_new("n1") };
}

static void maps_free(struct services_world *world)
{
	for (unsigned int i = 0; i < MAPS; i++) {
		struct map_row *row, *next;

		HASH_ITER(hh, world->maps[i], row, next) {
			HASH_DEL(world->maps[i], row);
			free(row);
		}
	}
}

void services_world_done(struct services_world *world)
{
	services_free(world->services);
	maps_free(world);
}

void services_world_set(struct services_world *world, const char *format, ...)
{
	_cleanup_object_ struct object *object = NULL;
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	object = decode_yaml(text, DECODE_LENIENT);
	services_set(world->services, object);
}

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *services_world_leads(const struct services_world *world, const struct mg_front_key *key)
{
	const struct map_row *row = row_of(world, FRONTS, key, sizeof(*key));
	const struct mg_front *front = row ? (const struct mg_front *)row->value : NULL;
	char *lines[64] = { NULL }, *text = NULL;
	size_t size;
	FILE *out;

	if (!front)
		return xstrdup("-");
	assert_in_range(front->count, 0, 64);
	for (uint32_t slot = 0; slot < front->count; slot++) {
		const struct mg_back *back = services_world_back(world, front->set, slot);
		char addr[ADDR_TEXT_MAX];

		assert_non_null(back);
		lines[slot] = xasprintf("%s:%u", addr_format(&back->addr, addr), ntohs(back->port));
	}
	qsort(lines, front->count, sizeof(*lines), text_cmp);
	out = open_memstream(&text, &size);
	for (uint32_t slot = 0; slot < front->count; slot++) {
		fprintf(out, "%s%s", slot ? " " : "", lines[slot]);
		free(lines[slot]);
	}
	if (front->flags & MG_FRONT_SILENT)
		fputs("silent", out);
	if (front->flags & MG_FRONT_SOURCES)
		fputs(" sources", out);
	if (front->flags & MG_FRONT_OWN)
		fputs(" own", out);
	if (front->affinity)
		fprintf(out, " affinity=%u", front->affinity);
	fclose(out);
	return text;
}
