/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain names in rules and network sets. The engine is told which addresses names have, address
 * by address; a list of patterns holds for the addresses of all names that one of them matches.
 * Who tells minds what may be believed and for how long.
 *
 * A list is of an atom (a rule's domains) or of a network set (allowedEgressDomains). Its
 * addresses are entries of prefixes (nets.h), so one that comes or goes compiles no rule.
 *
 * Names and patterns: lower case, labels by dots, none at the end. In a pattern a label "*" is one
 * or more labels (projectcalico.org/v3 EntityRule.domains; policy.networking.k8s.io DomainName).
 */
#ifndef MARGAY_POLICY_DOMAINS_H
#define MARGAY_POLICY_DOMAINS_H

#include <stdbool.h>

#include "abi/addr.h"
#include "policy/hmap.h"
#include "policy/vec.h"

struct arena;
struct atom;
struct domain_list;
struct domain_pattern;
struct netset;

struct domain_name {
	struct hnode node;
	VEC(union mg_addr) addr;
	char text[];
};

struct domains {
	struct hmap names;
	struct hmap patterns;
	VEC(struct domain_pattern *) wild; /* those with a "*" */
	uint32_t stamp;
	uint32_t lists;
	/* an address came to a list, or went from it */
	void (*changed)(void *ctx, const struct domain_list *list, const union mg_addr *addr,
			bool add);
	void *ctx;
};

struct domain_member {
	struct hnode node;
	union mg_addr addr;
	uint32_t refs; /* names */
};

struct domain_list {
	struct domains *domains;
	struct atom *atom; /* one of the two */
	struct netset *set;
	struct hmap members;
	VEC(struct domain_pattern *) pattern;
	uint32_t stamp; /* the name at hand was seen */
};

bool domain_matches(const char *pattern, const char *name);

/* Patterns as one text: each as above, in order, by commas. */
char *domain_text(struct arena *arena, const char *const *pattern, size_t count);

void domains_done(struct domains *domains); /* lists are gone */

/* Of a text of domain_text(). What is known already is not told: domain_list_each(). */
struct domain_list *domain_list_new(struct domains *domains, const char *text);
void domain_list_free(struct domain_list *list); /* accepts NULL; tells nothing */
void domain_list_each(const struct domain_list *list,
		      void (*each)(void *ctx, const struct domain_list *list,
				   const union mg_addr *addr, bool add),
		      void *ctx, bool add);

void domains_add(struct domains *domains, const char *name, const union mg_addr *addr);
void domains_remove(struct domains *domains, const char *name, const union mg_addr *addr);
bool domains_want(struct domains *domains, const char *name); /* is it in any list? */

#endif
