/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkPolicy (networking.k8s.io/v1). Missing and empty are kept apart where the API does:
 * a selector that is not given is NULL, an empty one is all(). Everything lies in the object's
 * arena.
 *
 * Source: k8s.io/api/networking/v1 types.go.
 */
#ifndef MARGAY_MODEL_NETPOL_H
#define MARGAY_MODEL_NETPOL_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/calico.h"
#include "model/object.h"
#include "model/selector.h"

/* policyTypes, after the API's inference: Ingress always where missing or empty, Egress where
 * spec.egress has a rule (a rule that was dropped counts). */
#define NETPOL_INGRESS (1U << 0)
#define NETPOL_EGRESS (1U << 1)

enum netpol_port_kind {
	NETPOL_PORT_ANY,    /* port missing: every port of the protocol */
	NETPOL_PORT_NUMBER, /* first to last, inclusive */
	NETPOL_PORT_NAME    /* resolved on the pod that receives */
};

struct netpol_port {
	uint8_t protocol; /* IPPROTO_TCP (where missing), IPPROTO_UDP, IPPROTO_SCTP */
	enum netpol_port_kind kind;
	uint16_t first; /* host order */
	uint16_t last;	/* endPort, else first */
	const char *name;
};

/* Either a block, or one or both selectors: pods alone means pods of the policy's namespace. */
struct netpol_peer {
	const struct selector *pods;	   /* podSelector; NULL: missing */
	const struct selector *namespaces; /* namespaceSelector; NULL: missing */
	bool is_block;
	struct mg_prefix block; /* masked */
	size_t except_count;
	struct mg_prefix *except; /* masked, each inside block */
};

struct netpol_rule {
	unsigned int
		index;	   /* place in spec.ingress or spec.egress: stays when others are dropped */
	size_t peer_count; /* 0: from or to is missing or empty: every address */
	struct netpol_peer *peers;
	size_t port_count; /* 0: ports is missing or empty: every protocol and port */
	struct netpol_port *ports;
};

struct netpol_rules {
	size_t count;
	struct netpol_rule *v;
};

struct network_policy {
	struct object base;
	const struct selector *pods; /* podSelector, never NULL: missing and empty are all() */
	unsigned int types;	     /* NETPOL_* */
	struct netpol_rules ingress; /* allow rules; meaningful where types has the direction */
	struct netpol_rules egress;
	enum calico_staged staged; /* of StagedKubernetesNetworkPolicy */
};

static inline const struct network_policy *network_policy_of(const struct object *object)
{
	return object && object->kind == KIND_NETWORK_POLICY ? (const struct network_policy *)object
							     : NULL;
}

/* StagedKubernetesNetworkPolicy (projectcalico.org/v3): the same spec, with an action. */
static inline const struct network_policy *staged_network_policy_of(const struct object *object)
{
	return object && object->kind == KIND_STAGED_KUBERNETES_POLICY
		       ? (const struct network_policy *)object
		       : NULL;
}

#endif
