/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's inside, shared by its files. One build goes:
 *	lists.c     which sets endpoints want
 *	identify.c  truth of atoms, identities, moves
 *	hold_back.c moves of a refused build that need not be
 *	build.c     policies and sets compiled, sets in force extended, what does not fit taken back
 *	columns.c   slots' cells, commit row
 */
#ifndef MARGAY_POLICY_ENGINE_STATE_H
#define MARGAY_POLICY_ENGINE_STATE_H

#include "policy/addrs.h"
#include "policy/domains.h"
#include "policy/engine.h"
#include "policy/ident.h"
#include "policy/nets.h"
#include "policy/set.h"

struct tier {
	struct hnode node;
	char *name;
	double order;
	enum rule_action action;
	uint32_t number; /* hash of the name: the same after a restart */
};

struct policy_entry {
	struct hnode node;
	struct policy *policy;
	struct tier *tier; /* NULL: not there, the policy applies nowhere */
	bool near[2];	   /* by direction: the local endpoint matters to its rules */
	bool domains;	   /* its rules ask for domains, as of domains_at */
	uint64_t domains_at;
};

/* A set an endpoint wants at a stage: one of the fixed numbers, or set. */
struct want {
	uint32_t number;
	struct set *set; /* one reference; NULL: number is fixed */
};

struct endpoint {
	uint32_t slot;
	struct facts *facts;
	union mg_addr ip[2];
	bool default_deny;
	bool dirty;			    /* what it wants is to be found */
	bool fresh;			    /* its slot's row is not in force yet */
	VEC(struct policy_entry *) applies; /* in order */
	struct want want[MG_STAGE_MAX];
};

struct slot {
	struct mg_slot row; /* as the kernel's will be when the plan is written */
	struct endpoint *endpoint;
	bool present; /* the kernel's row means something */
};

struct columns {
	VEC(struct slot) slot;
	uint32_t in_force;
	uint32_t previous;	   /* MG_COLUMNS: none */
	bool held[MG_COLUMNS];	   /* its cells hold references */
	uint64_t left[MG_COLUMNS]; /* build in which it stopped being in force */
	struct mg_commit commit[MG_COMMIT_ROWS];
	uint64_t commit_left[MG_COMMIT_ROWS];
	uint32_t commit_row;
	bool foreign; /* the column in force is from before a restart */
	uint64_t generation;
};

/* A row of mg_addrs or mg_nets that was there before a restart. */
struct known {
	struct hnode node;
	struct mg_prefix prefix;
	bool net;
	uint16_t identity;
};

/* Rows that had identity `from` before a restart, and whose truth is now that of `to`. */
struct heir {
	struct hnode node;
	uint16_t from;
	uint16_t to;
	struct ident_key key;
};

struct engine {
	struct engine_limits limits;
	struct rows rows;
	struct tables tables;
	struct truths truths;
	struct facts_table facts;
	struct atoms atoms;
	struct netsets netsets;
	struct domains domains;
	uint64_t domain_sets; /* raised when network sets with domains change */
	struct nets nets;
	struct addrs addrs;
	struct idents idents;
	struct compiler compiler;
	struct sets sets;
	struct hmap tiers;
	struct hmap policies;
	struct engine_services services;
	struct columns columns;
	struct plan plan;
	VEC(struct plan_move) move;
	struct hmap known;	/* until the second build */
	struct hmap heirs;	/* in the first build after a restart */
	bool restored;		/* the next build is the first after a restart */
	bool merge;		/* identities of one truth may be several; rows may be left over */
	uint32_t allow_written; /* table of MG_SET_ALLOW_ALL in the kernel */
	VEC(uint32_t) cleared;	/* slots whose endpoint is gone */
	uint64_t built;		/* the plan's build; 0: none yet */
	uint64_t applied;
	uint64_t graced;
	bool pending;	    /* something was told since the last build */
	bool regions;	    /* what is true of prefixes changed by itself (pools, services) */
	bool lists_dirty;   /* an endpoint is dirty */
	bool starved;	    /* there was no room: look at every address again */
	uint32_t nets_over; /* rows of mg_nets beyond its limit in this build */
	bool failed;	    /* the last build did not fit */
};

/* engine.c */
struct policy_entry *policy_find(const struct engine *engine, const char *group, const char *kind,
				 const char *ns, const char *name);

/* service.c */
void service_begin(struct engine *engine, struct atom *atom); /* a rule names it now */

/* engine_domains.c */
void domains_begin(struct engine *engine);
void domains_atom(struct engine *engine, struct atom *atom); /* a rule asks it now */
void domains_set_del(struct engine *engine, const char *name);

/* lists.c */
void endpoint_free(struct engine *engine, struct endpoint *endpoint);
void endpoint_apply_all(struct engine *engine, struct endpoint *endpoint);
void lists_add(struct engine *engine, struct policy_entry *entry);
void lists_remove(struct engine *engine, const struct policy_entry *entry);
void lists_resort(struct engine *engine);
void lists_soil_inside(struct engine *engine, const struct netset *set);
void lists_resolve(struct engine *engine);
void want_clear(struct engine *engine, struct want *want);
enum policy_direction stage_direction(enum mg_stage stage);
/* Is the policy one of those that judge at the stage, where it applies? */
bool entry_judges(const struct engine *engine, const struct policy_entry *entry,
		  enum mg_stage stage);
enum rule_action tier_end(const struct tier *tier, enum mg_stage stage);
/* What holds where nothing applies, or everything passes. */
bool endpoint_ends_in_deny(const struct endpoint *endpoint, enum mg_stage stage);
bool endpoint_is_host(const struct endpoint *endpoint);

/* restore.c: NO_IDENTITY where there was no row */
uint16_t known_get(const struct engine *engine, const struct mg_prefix *prefix, bool net);
void known_forget(struct engine *engine);

/* reidentify.c: identities of rows that the kernel has from before a restart */
void reidentify_plan(struct engine *engine);
uint16_t reidentify(struct engine *engine, const struct mg_prefix *prefix, uint16_t before,
		    const struct ident_key *key);
void heirs_forget(struct engine *engine);

/* identify.c */
struct ident_key identify_addr_key(struct engine *engine, const struct addr_row *row);
struct ident_key identify_net_key(struct engine *engine, const struct net *net);

void identify(struct engine *engine);
/* Rows of mg_nets beyond the limit, which takes those of this build's rules back: 0 if all fit. */
uint32_t identify_fit(struct engine *engine);
/* Moves into the order in which they may be written. */
void identify_order(struct engine *engine);

/* hold_back.c: takes moves back to identities that sets in force could not learn, where those
 * they had do as well. True if it took any. */
bool hold_back(struct engine *engine);

/* columns.c */
void columns_init(struct columns *columns);
void columns_done(struct engine *engine);
bool columns_ready(const struct engine *engine); /* a column and a commit row are free */
void columns_prepare(struct engine *engine);
void columns_clear(struct engine *engine, uint32_t slot);
struct slot *slot_at(struct engine *engine, uint32_t slot); /* grows */
void column_hold(struct engine *engine, uint32_t column, bool hold);

#endif
