/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that have a number: found by content, counted by reference, and with grace. A row
 * whose last reference goes is dead, yet its number and content stand until the programs
 * cannot be reading it any more; a dead row of the same content comes to life again.
 *
 * Numbers beyond the limit are given too and counted in `over`: so a build that does not fit
 * finds out how much it needs before it is taken back.
 */
#ifndef MARGAY_POLICY_NUMBERS_H
#define MARGAY_POLICY_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/engine.h"
#include "policy/hmap.h"
#include "policy/vec.h"

/* Head of a row's object. */
struct number {
	struct hnode node;
	struct number *prev; /* list of the dead, oldest first */
	struct number *next;
	uint64_t born; /* build in which it got its number */
	uint64_t dead; /* build in which its last reference went */
	uint32_t number;
	uint32_t refs;
};

/* Rows to write, by phase; shared by all kinds of numbers of one engine. */
struct rows {
	VEC(struct plan_row) row[PLAN_PHASES];
	enum plan_phase phase; /* where new rows go */
	uint64_t build;	       /* sequence number of the build that runs, or of the next one */
};

struct numbers {
	struct rows *rows;
	enum plan_map map;
	struct hmap by_content;
	VEC(struct number *) by_number;
	uint32_t first; /* numbers below have a fixed meaning */
	uint32_t limit;
	uint32_t hint; /* no free number below */
	uint32_t used; /* the dead included */
	uint32_t over; /* of these, beyond the limit */
	/* How often one of these was given or referred to. It only grows: whoever finds it as
	 * it was has nothing that does not fit. */
	uint64_t beyond;
	struct number grave;
	/* Children's references; either may be NULL. */
	void (*die)(void *ctx, struct number *number);
	void (*live)(void *ctx, struct number *number);
	void (*free)(void *ctx, struct number *number);
	void *ctx;
};

void numbers_init(struct numbers *numbers, struct rows *rows, enum plan_map map, uint32_t first,
		  uint32_t limit);
void numbers_done(struct numbers *numbers); /* frees all */

/* Gives a number, lowest first, one reference, and asks for the row to be written. */
void numbers_add(struct numbers *numbers, struct number *number, uint32_t hash);

/* With a number that it had before a restart; no reference yet, dead, and not written. The
 * number must be free. */
void numbers_restore(struct numbers *numbers, struct number *number, uint32_t hash, uint32_t n);

struct number *numbers_get(const struct numbers *numbers, uint32_t n); /* NULL: none */
void number_ref(struct numbers *numbers, struct number *number);
void number_unref(struct numbers *numbers, struct number *number);

/* The row's content changed: write it again. */
void number_write(struct numbers *numbers, const struct number *number);

/* Frees what died in builds up to this one. */
void numbers_grace(struct numbers *numbers, uint64_t build);

/* Frees what was born in this build and is dead already; no program ever saw it. */
void numbers_abort(struct numbers *numbers, uint64_t build);

void rows_add(struct rows *rows, enum plan_map map, uint32_t key, bool del);
void rows_clear(struct rows *rows);
void rows_done(struct rows *rows);

#endif
