/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities: numbers of truth. Two addresses of one family for which every atom in force is
 * equally true have the same one (abi/ident.h).
 */
#ifndef MARGAY_POLICY_IDENT_H
#define MARGAY_POLICY_IDENT_H

#include "policy/atom.h"
#include "policy/numbers.h"
#include "policy/truth.h"

/* The first four identities, without any atom; and what is fixed of any other. */
enum ident_base { BASE_WORLD4, BASE_WORLD6, BASE_UNKNOWN4, BASE_UNKNOWN6, BASE_MAX };

static inline bool base_unknown(enum ident_base base)
{
	return base >= BASE_UNKNOWN4;
}

struct ident_key {
	struct truth *facts; /* selectors; owner's labels */
	struct truth *nets;
	enum ident_base base;
};

static inline bool ident_key_equal(const struct ident_key *a, const struct ident_key *b)
{
	return a->facts == b->facts && a->nets == b->nets && a->base == b->base;
}

struct ident {
	struct number num; /* refs: addresses and prefixes */
	struct ident_key key;
	struct mg_digest digest;
	/* While addresses are identified anew: who leaves, and where the first one goes. */
	uint32_t leaving;
	struct truth *nets_before; /* of the addresses that are not looked at yet; NULL: as key */
	bool fresh;		   /* made in this build */
	bool restored;		   /* from before a restart: only number and digest are known */
};

struct idents {
	struct numbers numbers;
	struct truths *truths;
	struct atoms *atoms;
	VEC(uint16_t) fresh; /* made in this build */
	VEC(struct mg_digest) scratch;
};

void idents_init(struct idents *idents, struct rows *rows, uint32_t limit, struct truths *truths,
		 struct atoms *atoms);
void idents_done(struct idents *idents);

/* The identity of this truth, made if there is none. One reference. MG_IDENT_UNKNOWN* when
 * no number is left: then only a build that fails finds room again. */
uint16_t ident_of(struct idents *idents, const struct ident_key *key);
/* A number of its own, although another may stand for the same truth. */
uint16_t ident_apart(struct idents *idents, const struct ident_key *key);
/* A restored number comes to stand for this truth. One reference. */
uint16_t ident_revive(struct idents *idents, struct ident *ident, const struct ident_key *key);
struct mg_digest ident_digest(struct idents *idents, const struct ident_key *key);
struct ident *ident_find(const struct idents *idents, const struct ident_key *key);
void ident_unref(struct idents *idents, uint16_t n);
struct ident *ident_get(const struct idents *idents, uint16_t n);

/* All its addresses now have this truth as well; its number stays. */
void ident_rename(struct idents *idents, struct ident *ident, const struct ident_key *key);

/* Atoms are dropped: every identity follows its vectors. Equal ones are told apart no longer,
 * ident_find() gives the lower number. */
void idents_follow(struct idents *idents);

void ident_restore(struct idents *idents, uint16_t n, const struct mg_digest *digest);

/* The build is over: nothing is fresh. */
void idents_settle(struct idents *idents);

/* Is the atom true of it? */
bool ident_has(const struct ident *ident, const struct atom *atom);

/* Calls each for every identity that has a number, the dead included, lowest first. */
#define ident_for_each(idents, ident)                                                              \
	for (size_t _i = 0; _i < (idents)->numbers.by_number.n; _i++)                              \
		for (struct ident *ident = (struct ident *)(idents)->numbers.by_number.v[_i];      \
		     ident; ident = NULL)

#endif
