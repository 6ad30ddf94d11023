/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One policy in one direction, compiled: for every identity the list of its rules that match
 * the far end, with what they ask of protocol and ports. The near end (the local endpoint's
 * side of each rule, and the numbers of its named ports) is decided at compile time; endpoints
 * for which it comes out alike share the result.
 */
#ifndef MARGAY_POLICY_COMPILE_H
#define MARGAY_POLICY_COMPILE_H

#include "policy/atom.h"
#include "policy/chain.h"
#include "policy/class.h"
#include "policy/content.h"
#include "policy/ident.h"
#include "policy/netsets.h"
#include "policy/ports.h"

#define FAMILY_4 (1U << 0)
#define FAMILY_6 (1U << 1)

/* The near end as far as it matters: a byte of families for each rule, then the numbers of its
 * named ports. Empty: nothing depends on it. */
typedef VEC(uint32_t) near_key;

/* A local endpoint as the near end of rules. */
struct near_end {
	const struct facts *facts;
	union mg_addr ip[2]; /* IPv4, IPv6; zero: none */
	const struct netsets *netsets;
};

/* far_rule.want: all must be true; NULL: not asked */
enum { FAR_SELECTOR, FAR_NETS, FAR_SERVICE, FAR_DOMAINS, FAR_WANTS };

struct far_rule {
	const struct rule *rule;
	struct rule_number *number;
	uint8_t families;
	bool labels;	/* asks for labels that must be absent, or for names: never true of an
			 * address of unknown owner */
	bool valued;	/* its ports depend on the identity */
	uint16_t named; /* atoms of named ports and the service, in cpol.atom from first */
	uint32_t first;
	uint32_t near_at; /* in cpol.near, where it is not empty */
	struct atom *want[FAR_WANTS];
	struct atom *avoid[2]; /* not_selector, not_nets */
	struct pm *pm;	       /* unless valued */
};

/* One rule, or one rule with certain values of its named ports. */
struct far_step {
	uint32_t rule;
	struct pm *pm;
};

struct far_list {
	uint16_t identity;
	uint32_t list; /* node of chain */
};

struct cpol {
	struct hnode node;
	uint32_t refs;
	uint32_t serial; /* never used twice */
	struct policy *policy;
	enum policy_direction direction;
	struct mg_digest digest; /* of all that its verdicts depend on */
	near_key near;
	bool both;     /* the near end is any address: judged by its variants, never itself */
	bool compiled; /* for all identities that are not new */
	VEC(struct far_rule) rule;
	VEC(struct far_rule) near_rule; /* of both: the near ends */
	VEC(struct atom *) atom;	/* all it asks, one reference each */
	VEC(struct far_step) step;
	struct chain chain;
	uint32_t rest[BASE_MAX];   /* list of those for which no atom is true, and of all others
				      that list does not name */
	VEC(struct far_list) list; /* by identity */
};

struct compiler {
	struct hmap by_policy;
	struct atoms *atoms;
	struct idents *idents;
	struct tables *tables;
	struct pms pms;
	uint32_t serial;
	uint32_t *acc;	 /* list of each identity while compiling, 65,536 */
	uint8_t *marked; /* likewise */
	VEC(uint16_t) candidate;
	VEC(uint32_t) value[3];
	struct content text; /* a policy's content, to be digested */
};

void compiler_init(struct compiler *compiler, struct atoms *atoms, struct idents *idents,
		   struct tables *tables);
void compiler_done(struct compiler *compiler);

/* One reference. Its atoms may be fresh: judge them before cpol_compile(). */
struct cpol *cpol_get(struct compiler *compiler, struct policy *policy,
		      enum policy_direction direction, const struct near_end *near);
/* near NULL: near_matters() said no. */

/* The same where the near end is any address (sets of host endpoints): atoms of both ends are
 * asked, and what it says is, for each near identity, what its variant says. */
struct cpol *cpol_get_both(struct compiler *compiler, struct policy *policy,
			   enum policy_direction direction);
/* One reference, compiled. */
struct cpol *cpol_variant(struct compiler *compiler, struct cpol *both, const struct ident *near);

struct cpol *cpol_ref(struct cpol *cpol);
void cpol_unref(struct compiler *compiler, struct cpol *cpol);

/* For all identities the first time, for the new ones from then on. */
void cpol_compile(struct compiler *compiler, struct cpol *cpol);

/* The list of rules that match an identity; CHAIN_ROOT: none. */
uint32_t cpol_list(const struct cpol *cpol, const struct ident *ident);

/* --- among its files ----------------------------------------------------------------------- */

/* compile.c: a rule's match of ports for an identity (NULL: for none in particular). One reference.
 */
struct pm *cpol_rule_pm(struct compiler *compiler, const struct cpol *cpol, uint32_t rule,
			const struct ident *ident);
/* compile_rules.c: fills rule, near_rule, atom and step of a new cpol. */
void cpol_make_rules(struct compiler *compiler, struct cpol *cpol);
/* Of a rule that some compiled policy has, or had until lately; NULL: of none. */
struct rule_number *cpol_rule_number(const struct tables *tables, const struct policy *policy,
				     enum policy_direction direction, unsigned int index);

/* near.c. Does the near end matter to this policy? And what of it. */
bool near_matters(const struct policy *policy, enum policy_direction direction);
void near_key_make(const struct policy *policy, enum policy_direction direction,
		   const struct near_end *near, near_key *ret_key);

#endif
