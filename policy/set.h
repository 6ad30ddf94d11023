/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy sets: the ordered policies that apply to an endpoint in one direction and stage, known
 * by content. A set's table is the ordered overlay of its policies: first match wins, Pass goes
 * to the next tier, the end of a tier decides or goes on, the profile decides last.
 *
 * A set of a host endpoint whose policies ask something of their near end, which may be any
 * address, has a table of tables (MG_SET_BOTH_ENDS): both.c.
 */
#ifndef MARGAY_POLICY_SET_H
#define MARGAY_POLICY_SET_H

#include "policy/compile.h"

/* A policy, or the end of a tier, or of all. */
struct set_part {
	enum step_kind kind; /* STEP_RULE: a policy */
	enum rule_action action;
	uint32_t tier;
	struct cpol *cpol;
};

struct set {
	struct number num; /* refs: cells of columns, endpoints */
	struct mg_digest digest;
	uint32_t root;
	bool both;     /* root is of a table of tables */
	bool restored; /* from before a restart: its policies are not known */
	bool compiled; /* root is of its policies */
	bool pending;  /* in sets.fresh */
	VEC(struct set_part) part;
};

struct sets {
	struct numbers numbers;
	struct compiler *compiler;
	struct tables *tables;
	struct idents *idents;
	struct classifier classifier;
	struct chain chain;	 /* known lists of policies' rules */
	uint32_t chain_before;	 /* its nodes when the build before the last one ended */
	uint32_t chain_step;	 /* the most that one build added since a trim */
	VEC(struct set *) fresh; /* to be compiled */
	VEC(struct step) step;
	VEC(uint32_t) held; /* classes */
	VEC(uint16_t) id;   /* all identities */
	VEC(struct run) run;
	VEC(char) text;
	uint32_t *node; /* list of each identity, 65,536 */
	uint32_t mark;
	uint32_t allow_root;
};

void sets_init(struct sets *sets, struct rows *rows, uint32_t limit, struct compiler *compiler);
void sets_done(struct sets *sets);

/* The set of these parts (whose references are taken over), one reference. both: some part's cpol
 * is of both ends. */
struct set *set_get(struct sets *sets, struct set_part *part, size_t count, bool both);
void set_ref(struct sets *sets, struct set *set);
void set_unref(struct sets *sets, struct set *set);
struct set *set_by_number(const struct sets *sets, uint32_t number); /* NULL: fixed or none */

/* The root of its table over all identities. One reference to the root. */
uint32_t set_compile(struct sets *sets, struct set *set);

/* The same of a set that was there before a restart: numbers that only the kernel knows keep
 * what its table says of them. */
uint32_t set_adopt(struct sets *sets, struct set *set);

/* The same with the new identities filled in. One reference. */
uint32_t set_extend(struct sets *sets, struct set *set);

void set_restore(struct sets *sets, uint32_t number, const struct mg_digest *digest, uint32_t root,
		 bool both);

/* --- both.c: the same for sets of both ends ------------------------------------------------ */

uint32_t both_compile(struct sets *sets, struct set *set);
uint32_t both_adopt(struct sets *sets, struct set *set);
/* A table in which identities `to` have what `from` have. One reference. */
struct set_heir {
	uint16_t from;
	uint16_t to;
};
uint32_t both_inherit(struct sets *sets, uint32_t root, const struct set_heir *heir, size_t count);
uint32_t table_inherit(struct sets *sets, enum table_kind kind, uint32_t root,
		       const struct set_heir *heir, size_t count);

/* A table of classes by the overlay of parts, none of them of both ends. One reference. */
uint32_t parts_compile(struct sets *sets, const struct set_part *part, size_t count);

/* Before a build: forgets known lists when about half of them must be out of use. */
void sets_trim(struct sets *sets);

#endif
