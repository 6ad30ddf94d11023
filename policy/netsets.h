/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network sets: labels that hold for prefixes. A set is facts, as a pod's are, so selector atoms
 * are judged on it once, however many prefixes it has; a prefix carries the numbers of the sets
 * it is in (nets.h). An address is what its own labels and all sets around it say.
 */
#ifndef MARGAY_POLICY_NETSETS_H
#define MARGAY_POLICY_NETSETS_H

#include "policy/engine.h"
#include "policy/facts.h"
#include "policy/vec.h"

struct domain_list;
struct selector;

int prefix_order(const struct mg_prefix *a, const struct mg_prefix *b);

struct netset {
	struct hnode node;
	char *name;
	uint32_t index;
	struct facts *facts;   /* one reference */
	struct mg_prefix *net; /* sorted; none lies in another */
	size_t count;
	struct domain_list *domains; /* in place of nets: see engine_domains.c */
};

struct netsets {
	struct hmap by_name;
	VEC(struct netset *) by_index; /* NULL: free */
	VEC(uint32_t) free;
	struct facts_table *facts;
};

void netsets_init(struct netsets *sets, struct facts_table *facts);
void netsets_done(struct netsets *sets);

struct netset *netset_find(const struct netsets *sets, const char *name); /* NULL: none */
struct netset *netset_add(struct netsets *sets, const char *name);	  /* empty, without facts */
void netset_remove(struct netsets *sets, struct netset *set);

/* Takes the nets in place of its own; the caller frees *ret_old. */
void netset_nets(struct netset *set, const struct mg_prefix *net, size_t count,
		 struct mg_prefix **ret_old, size_t *ret_count);

bool netset_has(const struct netset *set, const union mg_addr *addr);

/* Does the selector hold for a set that the address is in? */
bool netsets_hold(const struct netsets *sets, const union mg_addr *addr,
		  const struct selector *selector);

/* Did what selectors say of a set change in this build? */
bool netsets_changed(const struct netsets *sets);

#endif
