/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/addrs.h"

#include <string.h>

#include "policy/hmap.h"

static uint32_t home(const struct addrs *addrs, const union mg_addr *addr)
{
	return hash_bytes(addr, sizeof(*addr), 0) & addrs->mask;
}

struct addr_row *addrs_find(const struct addrs *addrs, const union mg_addr *addr)
{
	if (!addrs->row)
		return NULL;
	for (uint32_t i = home(addrs, addr);; i = (i + 1) & addrs->mask) {
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
		i = (i + 1) & addrs->mask;
	addrs->row[i] = *from;
	return &addrs->row[i];
}

static void grow(struct addrs *addrs)
{
	struct addrs old = *addrs;

	addrs->mask = old.row ? old.mask * 2 + 1 : 63;
	addrs->row = xcalloc((size_t)addrs->mask + 1, sizeof(*addrs->row));
	addr_for_each(&old, row) place(addrs, row);
	free(old.row);
}

struct addr_row *addrs_add(struct addrs *addrs, const union mg_addr *addr)
{
	struct addr_row row = { .addr = *addr, .flags = ADDR_USED };

	if (!addrs->row || addrs->count >= addrs->mask - addrs->mask / 4)
		grow(addrs);
	addrs->count++;
	return place(addrs, &row);
}

/* Closes the gap, so that no row stands behind an empty place on its way from home. */
void addrs_remove(struct addrs *addrs, struct addr_row *row)
{
	uint32_t gap = row - addrs->row, i = gap;

	addrs->count--;
	for (;;) {
		uint32_t want;

		i = (i + 1) & addrs->mask;
		if (!(addrs->row[i].flags & ADDR_USED))
			break;
		want = home(addrs, &addrs->row[i].addr);
		if (((i - want) & addrs->mask) < ((i - gap) & addrs->mask))
			continue;
		addrs->row[gap] = addrs->row[i];
		gap = i;
	}
	addrs->row[gap] = (struct addr_row){};
}

void addrs_done(struct addrs *addrs)
{
	free(addrs->row);
	vec_done(&addrs->dirty);
}
