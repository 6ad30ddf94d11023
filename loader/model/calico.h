/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calico's policies (projectcalico.org/v3): NetworkPolicy, GlobalNetworkPolicy and their staged
 * forms, as one struct. What is left out asks nothing: selectors that are missing or empty are
 * NULL, lists are empty, numbers CALICO_ANY. Everything lies in the object's arena.
 *
 * Source: projectcalico.org/v3 NetworkPolicySpec, GlobalNetworkPolicySpec, Rule, EntityRule.
 */
#ifndef MARGAY_MODEL_CALICO_H
#define MARGAY_MODEL_CALICO_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"
#include "model/selector.h"

#define CALICO_ANY (-1)
#define CALICO_TIER_DEFAULT "default"

/* spec.types, after the API's inference: Egress alone where only spec.egress has a rule, both
 * where both have, else Ingress (a rule that was dropped counts). */
#define CALICO_INGRESS (1U << 0)
#define CALICO_EGRESS (1U << 1)

enum calico_action { CALICO_ALLOW = 1, CALICO_DENY, CALICO_LOG, CALICO_PASS };

enum calico_staged { CALICO_SET, CALICO_DELETE, CALICO_LEARN, CALICO_IGNORE };

struct calico_port {
	const char *name; /* NULL: first to last, inclusive */
	uint16_t first;	  /* host order */
	uint16_t last;
};

struct calico_icmp {
	int16_t type; /* 0-254, CALICO_ANY */
	int16_t code; /* 0-255, CALICO_ANY; only with a type */
};

/* serviceAccounts: both parts must hold. */
struct calico_accounts {
	size_t count;
	const char **names; /* none: any name */
	const struct selector *selector;
};

struct calico_service {
	const char *name; /* NULL: services is missing */
	const char *ns;	  /* NULL: the policy's */
};

/* One end of a connection. */
struct calico_entity {
	const struct selector *selector;
	const struct selector *not_selector;
	const struct selector *namespaces; /* SELECTOR_GLOBAL: nothing that is in a namespace */
	size_t net_count;
	struct mg_prefix *nets; /* masked */
	size_t not_net_count;
	struct mg_prefix *not_nets;
	size_t port_count;
	struct calico_port *ports;
	size_t not_port_count;
	struct calico_port *not_ports;
	struct calico_accounts accounts;
	struct calico_service service;
	size_t domain_count; /* of the destination of an egress rule that allows */
	const char **domains;
};

struct calico_rule {
	enum calico_action action;
	unsigned int index; /* place in spec.ingress or spec.egress: stays when others go */
	uint8_t ip_version; /* 4, 6; 0: both */
	int16_t protocol;   /* 1-255, CALICO_ANY */
	int16_t not_protocol;
	struct calico_icmp icmp;
	struct calico_icmp not_icmp;
	struct calico_entity source;
	struct calico_entity destination;
	bool inert; /* asks for what Margay cannot see yet (http): matches nothing */
	struct labels annotations;
};

struct calico_rules {
	size_t count;
	struct calico_rule *v;
};

struct calico_policy {
	struct object base;
	const char *tier; /* never NULL */
	double order;	  /* INFINITY: missing */
	const struct selector *selector;
	const struct selector *namespaces; /* of global policies */
	const struct selector *accounts;
	unsigned int types; /* CALICO_INGRESS, CALICO_EGRESS */
	struct calico_rules ingress;
	struct calico_rules egress;
	bool do_not_track;
	bool pre_dnat;
	bool apply_on_forward;
	enum calico_staged staged; /* of staged kinds */
};

/* Of any of the four kinds; NULL: another. */
static inline const struct calico_policy *calico_policy_of(const struct object *object)
{
	if (!object ||
	    (object->kind != KIND_CALICO_POLICY && object->kind != KIND_GLOBAL_POLICY &&
	     object->kind != KIND_STAGED_POLICY && object->kind != KIND_STAGED_GLOBAL_POLICY))
		return NULL;
	return (const struct calico_policy *)object;
}

#endif
