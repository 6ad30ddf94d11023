/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots' cells in four columns, and the commit row that puts a column into force. A commit
 * prepares a column that no program can be reading; the one in force before stays complete, so
 * that it can be gone back to.
 */
#include <string.h>

#include "policy/engine_state.h"

#define SLOTS_DEFAULT 4096

void columns_init(struct columns *columns)
{
	*columns = (struct columns){ .previous = MG_COLUMNS, .held[0] = true };
}

struct slot *slot_at(struct engine *e, uint32_t slot)
{
	uint32_t limit = e->limits.slots ? e->limits.slots : SLOTS_DEFAULT;

	if (slot >= limit)
		return NULL;
	while (e->columns.slot.n <= slot)
		vec_push(&e->columns.slot, (struct slot){});
	return &e->columns.slot.v[slot];
}

static void cell_put(struct engine *e, struct slot *slot, uint32_t column, int stage,
		     uint32_t number)
{
	uint32_t *cell = &slot->row.set[column][stage], old = *cell;

	if (e->columns.held[column] && old != number) {
		set_ref(&e->sets, set_by_number(&e->sets, number));
		set_unref(&e->sets, set_by_number(&e->sets, old));
	}
	*cell = number;
}

static void row_write(struct engine *e, const struct slot *slot)
{
	rows_add(&e->rows, PLAN_SLOT, slot - e->columns.slot.v, false);
}

static bool column_live(const struct columns *columns, uint32_t column)
{
	return column == columns->in_force || column == columns->previous;
}

/* A gone endpoint's slot drops everything, in every column. */
void columns_clear(struct engine *e, uint32_t n)
{
	struct slot *slot = slot_at(e, n);

	for (uint32_t column = 0; column < MG_COLUMNS; column++)
		for (int stage = 0; stage < MG_STAGE_MAX; stage++) {
			bool drops = stage == MG_STAGE_WORKLOAD_IN ||
				     stage == MG_STAGE_WORKLOAD_OUT ||
				     stage == MG_STAGE_NORMAL_IN || stage == MG_STAGE_NORMAL_OUT;

			cell_put(e, slot, column, stage, drops ? MG_SET_DROP_ALL : MG_SET_NONE);
		}
	slot->present = false;
}

/* --- free columns and rows ----------------------------------------------------------------- */

static bool graced(const struct engine *e, uint64_t left)
{
	return !left || left <= e->graced;
}

static uint32_t free_column(const struct engine *e)
{
	const struct columns *columns = &e->columns;

	for (uint32_t column = 0; column < MG_COLUMNS; column++)
		if (!column_live(columns, column) && graced(e, columns->left[column]))
			return column;
	return MG_COLUMNS;
}

static uint32_t free_commit_row(const struct engine *e)
{
	const struct columns *columns = &e->columns;

	for (uint32_t i = 1; i < MG_COMMIT_ROWS; i++) {
		uint32_t row = (columns->commit_row + i) % MG_COMMIT_ROWS;

		if (graced(e, columns->commit_left[row]))
			return row;
	}
	return MG_COMMIT_ROWS;
}

bool columns_ready(const struct engine *e)
{
	return free_column(e) < MG_COLUMNS && free_commit_row(e) < MG_COMMIT_ROWS;
}

/* --- a change ------------------------------------------------------------------------------ */

static bool fits(const struct slot *slot, uint32_t column)
{
	for (int stage = 0; stage < MG_STAGE_MAX; stage++)
		if (slot->row.set[column][stage] != slot->endpoint->want[stage].number)
			return false;
	return true;
}

/* An endpoint nobody sends to yet: into every column that may be read, without a commit. */
static void write_fresh(struct engine *e, struct slot *slot)
{
	for (uint32_t column = 0; column < MG_COLUMNS; column++)
		for (int stage = 0; column_live(&e->columns, column) && stage < MG_STAGE_MAX;
		     stage++)
			cell_put(e, slot, column, stage, slot->endpoint->want[stage].number);
	slot->endpoint->fresh = false;
	slot->present = true;
	row_write(e, slot);
}

static bool host_changed(const struct slot *slot, uint32_t from, uint32_t to)
{
	return memcmp(slot->row.set[from], slot->row.set[to],
		      MG_STAGE_WORKLOAD_IN * sizeof(slot->row.set[0][0]));
}

/* Makes the column whole; writes the rows in which it differs from what the kernel has. */
static void fill_column(struct engine *e, uint32_t column)
{
	for (size_t i = 0; i < e->columns.slot.n; i++) {
		struct slot *slot = &e->columns.slot.v[i];
		uint32_t before[MG_STAGE_MAX];

		memcpy(before, slot->row.set[column], sizeof(before));
		for (int stage = 0; stage < MG_STAGE_MAX; stage++)
			cell_put(e, slot, column, stage,
				 slot->endpoint ? slot->endpoint->want[stage].number
						: slot->row.set[e->columns.in_force][stage]);
		if (memcmp(before, slot->row.set[column], sizeof(before)))
			row_write(e, slot);
		e->plan.hosts |= host_changed(slot, e->columns.in_force, column);
	}
}

/* Takes or gives up the references of a column's cells. The kernel's cells of a column that
 * was given up stay as they are until it is prepared again; nothing names them. */
void column_hold(struct engine *e, uint32_t column, bool hold)
{
	if (column >= MG_COLUMNS || e->columns.held[column] == hold)
		return;
	e->columns.held[column] = hold;
	for (size_t i = 0; i < e->columns.slot.n; i++)
		for (int stage = 0; stage < MG_STAGE_MAX; stage++) {
			uint32_t number = e->columns.slot.v[i].row.set[column][stage];
			struct set *set = set_by_number(&e->sets, number);

			if (hold)
				set_ref(&e->sets, set);
			else
				set_unref(&e->sets, set);
		}
}

static void commit(struct engine *e)
{
	struct columns *columns = &e->columns;
	uint32_t column = free_column(e), row = free_commit_row(e), retired = columns->previous;

	fill_column(e, column);
	column_hold(e, column, true);
	columns->left[columns->in_force] = e->rows.build;
	columns->commit_left[columns->commit_row] = e->rows.build;
	columns->previous = columns->in_force;
	columns->in_force = column;
	columns->commit_row = row;
	columns->commit[row] = (struct mg_commit){ .column = column,
						   .fallback = column,
						   .generation = ++columns->generation };
	rows_add(&e->rows, PLAN_COMMIT_ROW, row, false);
	column_hold(e, retired, false);
	/* Sets whose policies nobody knows cannot learn new identities: no way back to them. */
	if (columns->foreign) {
		column_hold(e, columns->previous, false);
		columns->previous = MG_COLUMNS;
		columns->foreign = false;
	}
	e->plan.commits = true;
	e->plan.commit = row;
}

void columns_prepare(struct engine *e)
{
	bool differs = false;

	for (size_t i = 0; i < e->columns.slot.n; i++) {
		struct slot *slot = &e->columns.slot.v[i];

		if (!slot->endpoint)
			continue;
		if (slot->endpoint->fresh)
			write_fresh(e, slot);
		else
			differs |= !fits(slot, e->columns.in_force);
	}
	if (differs)
		commit(e);
	for (size_t i = 0; i < e->cleared.n; i++) {
		struct slot *slot = slot_at(e, e->cleared.v[i]);

		e->rows.phase = PLAN_AFTER;
		if (!slot->present)
			row_write(e, slot);
	}
	e->cleared.n = 0;
}

void columns_done(struct engine *e)
{
	for (size_t i = 0; i < e->columns.slot.n; i++)
		endpoint_free(e, e->columns.slot.v[i].endpoint);
	vec_done(&e->columns.slot);
}
