/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/class.h"

#include <string.h>

enum interval_state { OPEN, PASSED, DONE };

#define NO_SPORT (-1)

static uint32_t space_end(unsigned int space)
{
	return space == SPACE_OTHER ? 256 : 65536;
}

/* --- intervals ----------------------------------------------------------------------------- */

static int u32_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void push_bounds(struct classifier *c, const struct pm *pm, unsigned int list, uint32_t end)
{
	const struct range *range = pm_ranges(pm, list);

	for (unsigned int i = 0; i < pm_count(pm, list); i++) {
		if (range[i].low)
			vec_push(&c->start, range[i].low);
		if ((uint32_t)range[i].high + 1 < end)
			vec_push(&c->start, (uint32_t)range[i].high + 1);
	}
}

static void sort_bounds(struct classifier *c)
{
	size_t n = 1;

	qsort(c->start.v, c->start.n, sizeof(*c->start.v), u32_cmp);
	for (size_t i = 1; i < c->start.n; i++)
		if (c->start.v[i] != c->start.v[n - 1])
			c->start.v[n++] = c->start.v[i];
	c->start.n = n;
}

static void intervals_open(struct classifier *c)
{
	size_t n = c->start.n;

	vec_reserve(&c->next, n + 1);
	vec_reserve(&c->log, n);
	vec_reserve(&c->verdict, n);
	vec_reserve(&c->state, n);
	for (uint32_t i = 0; i < n; i++) {
		c->next.v[i] = i;
		c->log.v[i] = MG_RULE_NONE;
		c->verdict.v[i] = (struct mg_verdict){};
		c->state.v[i] = OPEN;
	}
	c->next.v[n] = n;
}

static uint32_t next_open(struct classifier *c, uint32_t i)
{
	uint32_t end = i;

	while (c->next.v[end] != end)
		end = c->next.v[end];
	while (c->next.v[i] != end) {
		uint32_t after = c->next.v[i];

		c->next.v[i] = end;
		i = after;
	}
	return end;
}

/* The interval that starts at key; every bound of a range is one. */
static uint32_t interval_at(const struct classifier *c, uint32_t key)
{
	uint32_t low = 0, high = c->start.n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (c->start.v[mid] < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* --- painting ------------------------------------------------------------------------------ */

static void decide(struct classifier *c, uint32_t i, const struct step *step)
{
	bool rule = step->kind == STEP_RULE;

	c->verdict.v[i] = (struct mg_verdict){
		.rule = rule ? step->number : MG_RULE_NONE,
		.log_rule = c->log.v[i],
		.tier = step->kind == STEP_TIER ? step->number : 0,
		.action = step->action == RULE_ALLOW ? MG_ACTION_ALLOW : MG_ACTION_DENY,
		.staged = rule && step->staged,
	};
	c->state.v[i] = DONE;
	c->next.v[i] = i + 1;
}

static void paint(struct classifier *c, uint32_t i, const struct step *step)
{
	switch (step->action) {
	case RULE_ALLOW:
	case RULE_DENY:
		decide(c, i, step);
		break;
	case RULE_PASS:
		c->state.v[i] = PASSED;
		c->next.v[i] = i + 1;
		break;
	case RULE_LOG:
		c->log.v[i] = step->number;
		break;
	}
}

static void paint_rule(struct classifier *c, unsigned int space, const struct step *step)
{
	const struct range *range = pm_ranges(step->pm, space);

	for (unsigned int r = 0; r < pm_count(step->pm, space); r++) {
		uint32_t end = interval_at(c, (uint32_t)range[r].high + 1);
		uint32_t i = next_open(c, interval_at(c, range[r].low));

		for (; i < end; i = next_open(c, i + 1))
			paint(c, i, step);
	}
}

static void paint_end(struct classifier *c, const struct step *step)
{
	for (uint32_t i = 0; i < c->start.n; i++) {
		if (c->state.v[i] == OPEN && step->action != RULE_PASS)
			decide(c, i, step);
		if (c->state.v[i] == PASSED)
			c->state.v[i] = OPEN;
		c->next.v[i] = c->state.v[i] == OPEN ? i : i + 1;
	}
}

/* Numbers of the verdicts of all intervals of one space, in c->start and c->number. */
static void judge_space(struct classifier *c, unsigned int space, int sport,
			const struct step *step, size_t count)
{
	c->start.n = 0;
	vec_push(&c->start, 0);
	for (size_t i = 0; i < count; i++)
		if (step[i].kind == STEP_RULE && pm_takes_part(step[i].pm, space, sport))
			push_bounds(c, step[i].pm, space, space_end(space));
	sort_bounds(c);
	intervals_open(c);
	for (size_t i = 0; i < count; i++) {
		if (step[i].kind != STEP_RULE)
			paint_end(c, &step[i]);
		else if (pm_takes_part(step[i].pm, space, sport))
			paint_rule(c, space, &step[i]);
	}
	c->number.n = 0;
	for (size_t i = 0; i < c->start.n; i++) {
		bool same =
			i && !memcmp(&c->verdict.v[i], &c->verdict.v[i - 1], sizeof(*c->verdict.v));
		uint32_t number =
			same ? c->number.v[i - 1] : verdict_intern(c->tables, &c->verdict.v[i]);

		vec_push(&c->number, number);
		if (!same)
			vec_push(&c->held_verdict, number);
	}
}

/* --- rows ---------------------------------------------------------------------------------- */

static uint32_t interval_end(const struct classifier *c, size_t i, uint32_t end)
{
	return i + 1 < c->start.n ? c->start.v[i + 1] : end;
}

/* The verdict of most protocols. */
static uint32_t widest(const struct classifier *c)
{
	uint32_t best = 0, best_width = 0;

	for (size_t i = 0; i < c->start.n; i++) {
		uint32_t width = 0;

		for (size_t k = 0; k < c->start.n; k++)
			if (c->number.v[k] == c->number.v[i])
				width += interval_end(c, k, 256) - c->start.v[k];
		if (width > best_width) {
			best_width = width;
			best = c->number.v[i];
		}
	}
	return best;
}

/* The intervals as a table in which 0 is the default verdict; 0: nothing differs from it. */
static uint32_t verdict_table(struct classifier *c, uint32_t fallback, uint32_t end)
{
	uint32_t root;

	c->run.n = 0;
	for (size_t i = 0; i < c->start.n; i++) {
		uint32_t value = c->number.v[i] == fallback ? 0 : c->number.v[i] + 1;

		if (!c->run.n || c->run.v[c->run.n - 1].value != value)
			vec_push(&c->run, (struct run){ c->start.v[i], value });
	}
	if (end < 65536)
		vec_push(&c->run, (struct run){ end, 0 });
	root = table_build(c->tables, TABLE_VERDICT, c->run.v, c->run.n);
	vec_push(&c->held_root, root);
	return root;
}

/* Protocols without a table of their own: in the row while they fit. */
static void others(struct classifier *c, struct mg_class *row)
{
	unsigned int count = 0;

	for (size_t i = 0; i < c->start.n; i++) {
		uint32_t end = interval_end(c, i, 256);

		if (c->number.v[i] == row->verdict)
			continue;
		for (uint32_t proto = c->start.v[i]; proto < end; proto++, count++) {
			if (count >= MG_CLASS_OTHERS || !proto)
				goto table;
			row->other_proto[count] = proto;
			row->other_verdict[count] = c->number.v[i];
		}
	}
	return;
table:
	memset(row->other_proto, 0, sizeof(row->other_proto));
	memset(row->other_verdict, 0, sizeof(row->other_verdict));
	row->proto_table = verdict_table(c, row->verdict, 256);
}

/* Spaces that a rule matches in part only, or not although it matches others. */
static unsigned int special_spaces(const struct step *step, size_t count)
{
	unsigned int special = 0;

	for (size_t i = 0; i < count; i++)
		if (step[i].kind == STEP_RULE)
			special |= step[i].pm->special;
	return special;
}

static void make_row(struct classifier *c, int sport, const struct step *step, size_t count,
		     struct mg_class *ret_row)
{
	unsigned int special = special_spaces(step, count);

	*ret_row = (struct mg_class){};
	judge_space(c, SPACE_OTHER, sport, step, count);
	ret_row->verdict = widest(c);
	others(c, ret_row);
	for (unsigned int space = 0; space < MG_L4_MAX; space++) {
		/* No rule treats it otherwise than the rest, which has one verdict. */
		if (!(special & (1U << space | 1U << SPACE_OTHER)))
			continue;
		judge_space(c, space, sport, step, count);
		ret_row->l4[space] = verdict_table(c, ret_row->verdict, 65536);
	}
}

static uint32_t row_done(struct classifier *c, const struct mg_class *row)
{
	uint32_t number = class_intern(c->tables, row);

	for (size_t i = 0; i < c->held_verdict.n; i++)
		verdict_unref(c->tables, c->held_verdict.v[i]);
	for (size_t i = 0; i < c->held_root.n; i++)
		table_unref(c->tables, c->held_root.v[i]);
	c->held_verdict.n = c->held_root.n = 0;
	return number;
}

/* Class 0 means "no class" in a table of source ports: the same denial in a row that is not
 * all zero. */
static void not_zero(struct mg_class *row)
{
	static const struct mg_class zero;

	if (!memcmp(row, &zero, sizeof(zero)))
		row->other_proto[0] = 255;
}

/* Source ports: one class for each stretch in which the same rules take part. */
static uint32_t make_sports(struct classifier *c, const struct step *step, size_t count)
{
	VEC(struct run) runs = {};
	VEC(uint32_t) starts = {};
	struct mg_class row;
	uint32_t number;

	c->start.n = 0;
	vec_push(&c->start, 0);
	for (size_t i = 0; i < count; i++)
		for (unsigned int space = 0; step[i].kind == STEP_RULE && space < SPACE_PORTS;
		     space++)
			if (step[i].pm->sport & 1U << space)
				push_bounds(c, step[i].pm, SPACES + space, 65536);
	sort_bounds(c);
	for (size_t i = 0; i < c->start.n; i++)
		vec_push(&starts, c->start.v[i]);
	for (size_t i = 0; i < starts.n; i++) {
		make_row(c, starts.v[i], step, count, &row);
		not_zero(&row);
		vec_push(&runs, (struct run){ starts.v[i], row_done(c, &row) });
	}
	/* The row in front: read for its sport member alone. */
	row = (struct mg_class){
		.sport = table_build(c->tables, TABLE_CLASS, runs.v, runs.n),
	};
	vec_push(&c->held_root, row.sport);
	number = row_done(c, &row);
	for (size_t i = 0; i < runs.n; i++)
		class_unref(c->tables, runs.v[i].value);
	vec_done(&runs);
	vec_done(&starts);
	return number;
}

uint32_t class_make(struct classifier *c, const struct step *step, size_t count)
{
	struct mg_class row;

	for (size_t i = 0; i < count; i++)
		if (step[i].kind == STEP_RULE && step[i].pm->sport)
			return make_sports(c, step, count);
	make_row(c, NO_SPORT, step, count, &row);
	return row_done(c, &row);
}

void classifier_init(struct classifier *classifier, struct tables *tables)
{
	*classifier = (struct classifier){ .tables = tables };
}

void classifier_done(struct classifier *c)
{
	vec_done(&c->start);
	vec_done(&c->next);
	vec_done(&c->log);
	vec_done(&c->verdict);
	vec_done(&c->state);
	vec_done(&c->number);
	vec_done(&c->held_verdict);
	vec_done(&c->held_root);
	vec_done(&c->run);
}
