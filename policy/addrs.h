/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses the engine knows, 24 bytes each in one open-addressed array that grows by half when it
 * is full to seven eighths: 27 to 41 bytes an address. A removal may move all rows.
 */
#ifndef MARGAY_POLICY_ADDRS_H
#define MARGAY_POLICY_ADDRS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/addr.h"
#include "policy/vec.h"

#define ADDR_USED (1U << 0)
#define ADDR_DIRTY (1U << 1) /* facts are new: its identity is to be found */

struct addr_row {
	union mg_addr addr;
	uint32_t facts; /* index */
	uint16_t identity;
	uint16_t flags;
};

struct addr_dirty {
	union mg_addr addr;
	uint16_t identity; /* that the kernel's row has; NO_IDENTITY: no row */
};

struct addrs {
	struct addr_row *row;
	uint32_t room;
	uint32_t count;
	VEC(struct addr_dirty) dirty;
};

void addrs_done(struct addrs *addrs);
struct addr_row *addrs_find(const struct addrs *addrs, const union mg_addr *addr);
struct addr_row *addrs_add(struct addrs *addrs, const union mg_addr *addr); /* not there yet */
void addrs_remove(struct addrs *addrs, struct addr_row *row);

#define addr_for_each(addrs, at)                                                                   \
	for (struct addr_row *at = (addrs)->row; at && at < (addrs)->row + (addrs)->room; at++)    \
		if (at->flags & ADDR_USED)

#endif
