/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's services and its kernel's maps, in memory: rows are written one by one, and after each
 * of them what a program may read must lead to a row.
 */
#ifndef MARGAY_SELFTESTS_LIB_SERVICES_WORLD_H
#define MARGAY_SELFTESTS_LIB_SERVICES_WORLD_H

#include <uthash.h>

#include "state/service.h"

struct map_row {
	unsigned char key[24];
	unsigned char value[24];
	UT_hash_handle hh;
};

enum { DIGESTS, BACKS, MEMBERS, RANGES, FRONTS, MAPS };

struct services_world {
	struct services *services; /* of node n1 */
	struct map_row *maps[MAPS];
	size_t written; /* rows of the last write */
};

struct services_world services_world_new(void);
void services_world_done(struct services_world *world);
#define _cleanup_services_world_ __attribute__((cleanup(services_world_done)))

/* An object, as YAML. */
void services_world_set(struct services_world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Reads the maps, as a new agent does. */
void services_world_restore(struct services_world *world);
/* Writes the first `most` rows alone, which fails; SIZE_MAX: all. */
void services_world_write(struct services_world *world, size_t most, bool every_moment);
/* Restores where nothing is known, and writes. */
void services_world_sync(struct services_world *world);

/* NULL: there is no such row. */
const struct mg_back *services_world_back(const struct services_world *world, uint32_t set,
					  uint32_t slot);
/* "10.0.0.1:80 10.0.0.2:80", sorted, with "silent", "sources", "own" or "affinity=N" behind; "-":
 * no frontend. The caller frees. */
char *services_world_leads(const struct services_world *world, const struct mg_front_key *key);

#endif
