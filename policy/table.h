/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows below a set: pages, classes, verdicts and rule numbers, each known by content and
 * counted by reference, so that equal things are stored once.
 *
 * A table is a root page and its leaves (abi/policy.h). Pages are kept as runs of equal
 * values, a few bytes instead of 1 KiB, and written out only when a row is asked for. A page
 * is never changed: a changed table is a new root that shares every leaf that stayed.
 */
#ifndef MARGAY_POLICY_TABLE_H
#define MARGAY_POLICY_TABLE_H

#include "abi/policy.h"
#include "policy/numbers.h"
#include "policy/vec.h"

enum table_kind {
	TABLE_CLASS,   /* identity, or source port -> class */
	TABLE_VERDICT, /* port, type and code, or protocol -> verdict + 1 */
	TABLE_ROOT,    /* near identity -> root of a TABLE_CLASS */
};

struct page {
	struct number num;
	uint8_t kind; /* table_kind << 1 | 1 for a root */
	uint16_t runs;
	uint32_t value[]; /* of each run; then uint8_t start[runs], start[0] = 0 */
};

struct class
{
	struct number num;
	struct mg_class row;
	uint64_t serial; /* never used twice */
};

struct verdict {
	struct number num;
	struct mg_verdict row;
};

struct rule_number {
	struct number num;
	struct mg_digest digest;
	struct policy *policy; /* that had it last; NULL after a restart */
	enum policy_direction direction;
	unsigned int index;
	enum rule_action action;
	const char *text; /* in the policy */
};

struct tables {
	struct numbers pages;
	struct numbers classes;
	struct numbers verdicts;
	struct numbers rules;
	uint64_t class_serial;
};

/* From start up to the next run's start; the last one up to 65535. The first start is 0. */
struct run {
	uint16_t start;
	uint32_t value;
};

void tables_init(struct tables *tables, struct rows *rows, const struct engine_limits *limits);
void tables_done(struct tables *tables);

/* The root's number with one reference; 0 if every value is 0. Values' rows must be held by
 * the caller meanwhile. */
uint32_t table_build(struct tables *tables, enum table_kind kind, const struct run *run,
		     size_t count);
uint32_t table_get(const struct tables *tables, uint32_t root, uint16_t key);
/* All of it, in order, neighbours of one value as one run; of root 0 a run of 0. The runs are added
 * to what is there. */
typedef VEC(struct run) run_vec;
void table_runs(const struct tables *tables, uint32_t root, run_vec *runs);

/* A table that differs from root in these keys (ascending); root itself stays. One reference. */
struct table_entry {
	uint16_t key;
	uint32_t value;
};
uint32_t table_with(struct tables *tables, enum table_kind kind, uint32_t root,
		    const struct table_entry *entry, size_t count);
void table_ref(struct tables *tables, uint32_t root);
void table_unref(struct tables *tables, uint32_t root); /* accepts 0 */

/* One reference each; the row's children must be held by the caller. */
uint32_t class_intern(struct tables *tables, const struct mg_class *row);
void class_unref(struct tables *tables, uint32_t number);
bool class_ref_again(struct tables *tables, uint32_t number, uint64_t serial); /* still there? */
uint64_t class_serial(const struct tables *tables, uint32_t number);
uint32_t verdict_intern(struct tables *tables, const struct mg_verdict *row);
void verdict_unref(struct tables *tables, uint32_t number);
struct rule_number *rule_intern(struct tables *tables, const struct mg_digest *digest);
struct rule_number *rule_find(const struct tables *tables, const struct mg_digest *digest);

void page_expand(const struct page *page, struct mg_page *ret_row);
uint32_t page_value(const struct page *page, uint8_t entry);

/* Puts back what was in the kernel: dead until something refers to it. */
void page_restore(struct tables *tables, unsigned int kind, uint32_t number,
		  const struct mg_page *row);
void class_restore(struct tables *tables, uint32_t number, const struct mg_class *row);
void verdict_restore(struct tables *tables, uint32_t number, const struct mg_verdict *row);
void rule_restore(struct tables *tables, uint32_t number, const struct mg_digest *digest);

#endif
