/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/addrs.h"

#include <string.h>

#include "policy/hmap.h"

#define ROOM_FIRST 64

static uint32_t home(const struct addrs *addrs, const union mg_addr *addr)
{
	return (uint32_t)((uint64_t)hash_bytes(addr, sizeof(*addr), 0) * addrs->room >> 32);
}

static uint32_t next(const struct addrs *addrs, uint32_t i)
{
	return i + 1 == addrs->room ? 0 : i + 1;
}

struct addr_row *addrs_find(const struct addrs *addrs, const union mg_addr *addr)
{
	if (!addrs->row)
		return NULL;
	for (uint32_t i = home(addrs, addr);; i = next(addrs, i)) {
		struct addr_row *row = &addrs->row[i];

		if (!(row->flags & ADDR_USED))
			return NULL;
		if (!memcmp(&row->addr, addr, sizeof(*addr)))
			return row;
	}
}

static struct addr_row *place(struct addrs *addrs, const struct addr_row *from)
{
	uint32_t i = home(addrs, &from->addr);

	while (addrs->row[i].flags & ADDR_USED)
		i = next(addrs, i);
	addrs->row[i] = *from;
	return &addrs->row[i];
}

static void resize(struct addrs *addrs, uint32_t room)
{
	struct addrs old = *addrs;

	addrs->room = room;
	addrs->row = xcalloc(room, sizeof(*addrs->row));
	addr_for_each(&old, row) place(addrs, row);
	free(old.row);
}

struct addr_row *addrs_add(struct addrs *addrs, const union mg_addr *addr)
{
	struct addr_row row = { .addr = *addr, .flags = ADDR_USED };

	if (!addrs->row)
		resize(addrs, ROOM_FIRST);
	else if (addrs->count >= addrs->room - addrs->room / 8)
		resize(addrs, addrs->room + addrs->room / 2);
	addrs->count++;
	return place(addrs, &row);
}

/* Steps from a to b, forwards. */
static uint32_t way(const struct addrs *addrs, uint32_t a, uint32_t b)
{
	return b >= a ? b - a : b + addrs->room - a;
}

/* Closes the gap, so that no row stands behind an empty place on its way from home. */
void addrs_remove(struct addrs *addrs, struct addr_row *row)
{
	uint32_t gap = row - addrs->row;

	addrs->count--;
	for (uint32_t i = next(addrs, gap); addrs->row[i].flags & ADDR_USED; i = next(addrs, i)) {
		uint32_t want = home(addrs, &addrs->row[i].addr);

		if (way(addrs, want, i) < way(addrs, gap, i))
			continue;
		addrs->row[gap] = addrs->row[i];
		gap = i;
	}
	addrs->row[gap] = (struct addr_row){};
	if (addrs->room > ROOM_FIRST && addrs->count < addrs->room / 4)
		resize(addrs, addrs->room / 2);
}

void addrs_done(struct addrs *addrs)
{
	free(addrs->row);
	vec_done(&addrs->dirty);
}
