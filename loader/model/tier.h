/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tier, NetworkSet and GlobalNetworkSet (projectcalico.org/v3).
 */
#ifndef MARGAY_MODEL_TIER_H
#define MARGAY_MODEL_TIER_H

#include "abi/addr.h"
#include "model/object.h"

/* Of the tiers that are always there, order and action are fixed, whatever an object says. */
struct calico_tier {
	struct object base;
	double order;  /* INFINITY: missing, after all others */
	bool end_pass; /* defaultAction Pass; else Deny */
};

struct tier_built_in {
	const char *name;
	double order;
	bool end_pass;
};

extern const struct tier_built_in tier_built_ins[]; /* ends with a NULL name */

/* NULL: not one of them. */
const struct tier_built_in *tier_built_in(const char *name);

struct network_set {
	struct object base; /* its labels are the set's */
	size_t net_count;
	struct mg_prefix *nets; /* masked */
	size_t domain_count;	/* allowedEgressDomains */
	const char **domains;
};

static inline const struct calico_tier *tier_of(const struct object *object)
{
	return object && object->kind == KIND_TIER ? (const struct calico_tier *)object : NULL;
}

static inline const struct network_set *network_set_of(const struct object *object)
{
	return object && (object->kind == KIND_NETWORK_SET ||
			  object->kind == KIND_GLOBAL_NETWORK_SET)
		       ? (const struct network_set *)object
		       : NULL;
}

#endif
