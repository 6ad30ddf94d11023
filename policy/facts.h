/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of addresses, interned: the pods of one deployment share one struct facts,
 * so 50,000 pods cost what their different label sets cost. A label knows the atoms that hang
 * on it, so new facts meet only the selectors that can hold for them.
 */
#ifndef MARGAY_POLICY_FACTS_H
#define MARGAY_POLICY_FACTS_H

#include "policy/engine.h"
#include "policy/hmap.h"
#include "policy/labels.h"
#include "policy/truth.h"
#include "policy/vec.h"

struct atom;

/* A label, or (value "") a name of a port. */
struct tag {
	struct hnode node;
	uint32_t refs;
	VEC(struct atom *) anchored; /* atoms that need this label */
	VEC(struct facts *) bearers; /* while many atoms are new; else empty */
	const char *value;	     /* within key's memory */
	char key[];
};

struct tag_set {
	struct hnode node;
	uint32_t refs;
	uint32_t count;
	struct tag *label[]; /* by key */
};

struct facts_port {
	struct tag *name;
	uint16_t number;
	uint8_t proto;
};

struct facts {
	struct hnode node;
	uint32_t index;
	uint32_t refs; /* addresses and endpoints */
	enum engine_kind kind;
	uint32_t port_count;
	struct tag_set *set[3]; /* namespace's, service account's, own: looked up in this order */
	struct truth *truth;	/* of all selector atoms */
	bool changed;		/* truth changed in this build */
	struct facts_port port[];
};

struct facts_table {
	struct hmap labels;
	struct hmap sets;
	struct hmap by_content;
	VEC(struct facts *) by_index; /* NULL: free */
	VEC(uint32_t) free;
	VEC(struct facts *) fresh; /* truth not known yet */
	struct truths *truths;
};

void facts_table_init(struct facts_table *table, struct truths *truths);
void facts_table_done(struct facts_table *table);

/* One reference. New ones wait in fresh for atoms_judge(). */
struct facts *facts_intern(struct facts_table *table, const struct engine_facts *from);
void facts_unref(struct facts_table *table, struct facts *facts);

/* The value of a key; NULL: absent. */
const char *tag_set_lookup(const struct tag_set *set, const char *key);

/* selector_lookup over struct facts. */
const char *facts_lookup(void *facts, const char *key);

struct tag *tag_find(const struct facts_table *table, const char *key, const char *value);
struct tag *tag_intern(struct facts_table *table, const char *key, const char *value);
void tag_unref(struct facts_table *table, struct tag *label);

#endif
