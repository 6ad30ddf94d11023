/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Atoms: the distinct things that rules in force ask of an address. Equal questions of
 * different rules are one atom. An atom lives as long as a compiled policy asks it.
 */
#ifndef MARGAY_POLICY_ATOM_H
#define MARGAY_POLICY_ATOM_H

#include "abi/digest.h"
#include "policy/content.h"
#include "policy/facts.h"
#include "policy/rule.h"
#include "policy/truth.h"

struct engine_member;

enum atom_kind {
	ATOM_SELECTOR, /* an endpoint's labels */
	ATOM_PORT,     /* a named port of an endpoint that the selector holds for; has values */
	ATOM_NETS,     /* the address lies in one of these nets */
	ATOM_SERVICE,  /* the address is a member of the service; has values */
	ATOM_ALLOWED,  /* as a selector, and domains of a set it holds for give the address */
	ATOM_DOMAINS,  /* a name that matches has the address */
};

struct atom {
	struct hnode node;
	uint32_t index;
	uint32_t refs; /* compiled rules */
	enum atom_kind kind;
	bool fresh;  /* its truth is not known yet */
	bool global; /* hangs on no label: every new facts object is asked */
	bool digested;
	struct mg_digest digest;
	struct policy *policy;		 /* keeps selector and name alive */
	const struct selector *selector; /* NULL with ATOM_PORT: every endpoint */
	const char *name;		 /* of the port; of the service; domain_text() */
	struct mg_prefix *net;		 /* sorted, own memory */
	uint32_t net_count;
	uint32_t member_count;
	struct engine_member *member; /* of the service; own memory */
	struct domain_list *domains;
	VEC(struct tag *) anchors;    /* one of these the selector needs */
	VEC(uint16_t) identities;     /* for which it is true */
	VEC(uint16_t) new_identities; /* of these, made in this build */
};

struct atoms {
	struct hmap by_content;
	VEC(struct atom *) by_index; /* NULL: free */
	VEC(uint32_t) free;
	VEC(struct atom *) fresh;
	VEC(struct atom *) global;
	VEC(struct atom *) dead; /* candidates: refs was 0 */
	VEC(truth_entry) scratch;
	struct content content;
	struct facts_table *facts;
	uint32_t count;
};

void atoms_init(struct atoms *atoms, struct facts_table *facts);
void atoms_done(struct atoms *atoms);

/* One reference each. policy is where selector, name and nets live. */
struct atom *atom_selector(struct atoms *atoms, struct policy *policy,
			   const struct selector *selector);
struct atom *atom_port(struct atoms *atoms, struct policy *policy, const struct selector *selector,
		       const char *name);
struct atom *atom_nets(struct atoms *atoms, const struct rule_nets *nets);
struct atom *atom_service(struct atoms *atoms, struct policy *policy, const char *name);
struct atom *atom_allowed(struct atoms *atoms, struct policy *policy,
			  const struct selector *selector);
struct atom *atom_domains(struct atoms *atoms, struct policy *policy, const char *text);
void atom_unref(struct atoms *atoms, struct atom *atom);		   /* accepts NULL */
struct atom *atom_by_service(const struct atoms *atoms, const char *name); /* NULL: none */

static inline struct atom *atom_ref(struct atom *atom)
{
	atom->refs++;
	return atom;
}

/* Truth of fresh facts for all atoms; then of fresh atoms for all facts, where facts->truth
 * grows and facts->changed is set. True if a facts' truth changed. */
bool atoms_judge(struct atoms *atoms);

/* Collects the atoms without references into a bit set of indexes (the caller frees); NULL:
 * there is none. atoms_drop() removes them when no vector has them any more. */
uint64_t *atoms_dead(struct atoms *atoms);
void atoms_drop(struct atoms *atoms, const uint64_t *dead);

/* Stands for what the atom asks, in every run of the agent. */
const struct mg_digest *atom_digest(struct atoms *atoms, struct atom *atom);
char *atom_text(const struct atom *atom); /* the caller frees */

#endif
