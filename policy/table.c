/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes, verdicts, rule numbers, and who refers to whom.
 */
#include "policy/table.h"

#include <string.h>

#include "policy/table_ref.h"

#define PAGES_DEFAULT (MG_CHUNKS_MAX * MG_CHUNK_PAGES)
#define CLASSES_DEFAULT 32768
#define VERDICTS_DEFAULT 65536

/* --- references ---------------------------------------------------------------------------- */

static void ref(struct numbers *numbers, uint32_t n, uint32_t first)
{
	if (n >= first)
		number_ref(numbers, numbers_get(numbers, n));
}

static void unref(struct numbers *numbers, uint32_t n, uint32_t first)
{
	if (n >= first)
		number_unref(numbers, numbers_get(numbers, n));
}

typedef void (*visit)(struct numbers *numbers, uint32_t n, uint32_t first);

static void page_children(struct tables *tables, const struct page *page, visit each)
{
	for (unsigned int run = 0; run < page->runs; run++) {
		uint32_t value = page->value[run];

		if (page->kind & 1)
			each(&tables->pages, value, 1);
		else if (page->kind >> 1 == TABLE_CLASS)
			each(&tables->classes, value, 1);
		else if (page->kind >> 1 == TABLE_ROOT)
			each(&tables->pages, value, 1);
		else if (value)
			each(&tables->verdicts, value - 1, MG_VERDICT_FIRST);
	}
}

void page_hold(struct tables *tables, const struct page *page)
{
	page_children(tables, page, ref);
}

void page_unref(struct tables *tables, uint32_t number)
{
	unref(&tables->pages, number, 1);
}

static void class_children(struct tables *tables, const struct mg_class *row, visit each)
{
	each(&tables->verdicts, row->verdict, MG_VERDICT_FIRST);
	for (int i = 0; i < MG_L4_MAX; i++)
		each(&tables->pages, row->l4[i], 1);
	each(&tables->pages, row->sport, 1);
	each(&tables->pages, row->proto_table, 1);
	for (int i = 0; i < MG_CLASS_OTHERS; i++)
		if (row->other_proto[i])
			each(&tables->verdicts, row->other_verdict[i], MG_VERDICT_FIRST);
}

static void verdict_children(struct tables *tables, const struct mg_verdict *row, visit each)
{
	each(&tables->rules, row->rule, 1);
	each(&tables->rules, row->log_rule, 1);
}

static void page_live(void *ctx, struct number *number)
{
	page_children(ctx, (struct page *)number, ref);
}

static void page_die(void *ctx, struct number *number)
{
	page_children(ctx, (struct page *)number, unref);
}

static void class_live(void *ctx, struct number *number)
{
	class_children(ctx, &((struct class *)number)->row, ref);
}

static void class_die(void *ctx, struct number *number)
{
	class_children(ctx, &((struct class *)number)->row, unref);
}

static void verdict_live(void *ctx, struct number *number)
{
	verdict_children(ctx, &((struct verdict *)number)->row, ref);
}

static void verdict_die(void *ctx, struct number *number)
{
	verdict_children(ctx, &((struct verdict *)number)->row, unref);
}

static void plain_free(void *ctx, struct number *number)
{
	(void)ctx;
	free(number);
}

static void rule_free(void *ctx, struct number *number)
{
	struct rule_number *rule = (struct rule_number *)number;
	struct tables *tables = ctx;

	rows_add(tables->rules.rows, PLAN_RULE_DIG, number->number, true);
	policy_unref(rule->policy);
	free(rule);
}

/* --- rows ---------------------------------------------------------------------------------- */

uint32_t class_intern(struct tables *tables, const struct mg_class *row)
{
	static const struct mg_class zero;
	uint32_t hash = hash_bytes(row, sizeof(*row), 0);
	struct hnode *node = hmap_first(&tables->classes.by_content, hash);
	struct class *class;

	if (!memcmp(row, &zero, sizeof(zero)))
		return 0;
	for (; node; node = hmap_same(node)) {
		class = (struct class *)node;
		if (memcmp(&class->row, row, sizeof(*row)))
			continue;
		number_ref(&tables->classes, &class->num);
		return class->num.number;
	}
	class = xcalloc(1, sizeof(*class));
	class->row = *row;
	class->serial = ++tables->class_serial;
	numbers_add(&tables->classes, &class->num, hash);
	class_children(tables, row, ref);
	return class->num.number;
}

void class_unref(struct tables *tables, uint32_t number)
{
	unref(&tables->classes, number, 1);
}

uint64_t class_serial(const struct tables *tables, uint32_t number)
{
	const struct number *class = number ? numbers_get(&tables->classes, number) : NULL;

	return class ? ((const struct class *)class)->serial : 0;
}

bool class_ref_again(struct tables *tables, uint32_t number, uint64_t serial)
{
	if (class_serial(tables, number) != serial)
		return false;
	ref(&tables->classes, number, 1);
	return true;
}

uint32_t verdict_intern(struct tables *tables, const struct mg_verdict *row)
{
	uint32_t hash = hash_bytes(row, sizeof(*row), 0);
	struct hnode *node = hmap_first(&tables->verdicts.by_content, hash);
	struct verdict *verdict;

	if (!row->rule && !row->log_rule && !row->tier)
		return row->action == MG_ACTION_ALLOW ? MG_VERDICT_ALLOW : MG_VERDICT_DROP;
	for (; node; node = hmap_same(node)) {
		verdict = (struct verdict *)node;
		if (memcmp(&verdict->row, row, sizeof(*row)))
			continue;
		number_ref(&tables->verdicts, &verdict->num);
		return verdict->num.number;
	}
	verdict = xcalloc(1, sizeof(*verdict));
	verdict->row = *row;
	numbers_add(&tables->verdicts, &verdict->num, hash);
	verdict_children(tables, row, ref);
	return verdict->num.number;
}

void verdict_unref(struct tables *tables, uint32_t number)
{
	unref(&tables->verdicts, number, MG_VERDICT_FIRST);
}

struct rule_number *rule_find(const struct tables *tables, const struct mg_digest *digest)
{
	uint32_t hash = hash_bytes(digest, sizeof(*digest), 0);
	struct hnode *node = hmap_first(&tables->rules.by_content, hash);

	for (; node; node = hmap_same(node)) {
		struct rule_number *rule = (struct rule_number *)node;

		if (!memcmp(&rule->digest, digest, sizeof(*digest)))
			return rule;
	}
	return NULL;
}

struct rule_number *rule_intern(struct tables *tables, const struct mg_digest *digest)
{
	uint32_t hash = hash_bytes(digest, sizeof(*digest), 0);
	struct rule_number *rule = rule_find(tables, digest);

	if (rule) {
		number_ref(&tables->rules, &rule->num);
		return rule;
	}
	rule = xcalloc(1, sizeof(*rule));
	rule->digest = *digest;
	numbers_add(&tables->rules, &rule->num, hash);
	return rule;
}

/* --- restart ------------------------------------------------------------------------------- */

void class_restore(struct tables *tables, uint32_t number, const struct mg_class *row)
{
	struct class *class = xcalloc(1, sizeof(*class));

	class->row = *row;
	class->serial = ++tables->class_serial;
	numbers_restore(&tables->classes, &class->num, hash_bytes(row, sizeof(*row), 0), number);
}

void verdict_restore(struct tables *tables, uint32_t number, const struct mg_verdict *row)
{
	struct verdict *verdict = xcalloc(1, sizeof(*verdict));

	verdict->row = *row;
	numbers_restore(&tables->verdicts, &verdict->num, hash_bytes(row, sizeof(*row), 0), number);
}

void rule_restore(struct tables *tables, uint32_t number, const struct mg_digest *digest)
{
	struct rule_number *rule = xcalloc(1, sizeof(*rule));

	rule->digest = *digest;
	numbers_restore(&tables->rules, &rule->num, hash_bytes(digest, sizeof(*digest), 0), number);
}

static uint32_t limit_of(uint32_t asked, uint32_t fallback)
{
	return asked ? asked : fallback;
}

void tables_init(struct tables *tables, struct rows *rows, const struct engine_limits *limits)
{
	numbers_init(&tables->pages, rows, PLAN_PAGE, 1, limit_of(limits->pages, PAGES_DEFAULT));
	numbers_init(&tables->classes, rows, PLAN_CLASS, 1,
		     limit_of(limits->classes, CLASSES_DEFAULT));
	numbers_init(&tables->verdicts, rows, PLAN_VERDICT, MG_VERDICT_FIRST,
		     limit_of(limits->verdicts, VERDICTS_DEFAULT));
	numbers_init(&tables->rules, rows, PLAN_RULE_DIG, 1, limit_of(limits->rules, MG_RULES_MAX));
	tables->pages.live = page_live;
	tables->pages.die = page_die;
	tables->classes.live = class_live;
	tables->classes.die = class_die;
	tables->verdicts.live = verdict_live;
	tables->verdicts.die = verdict_die;
	tables->pages.free = tables->classes.free = tables->verdicts.free = plain_free;
	tables->rules.free = rule_free;
	tables->pages.ctx = tables->classes.ctx = tables->verdicts.ctx = tables->rules.ctx = tables;
}

void tables_done(struct tables *tables)
{
	numbers_done(&tables->pages);
	numbers_done(&tables->classes);
	numbers_done(&tables->verdicts);
	numbers_done(&tables->rules);
}
