/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPPool and IPReservation (projectcalico.org/v3). ipipMode is allowed on IPv6 pools too
 * (protocol 41): the one rule of Calico that is widened.
 */
#ifndef MARGAY_MODEL_IPPOOL_H
#define MARGAY_MODEL_IPPOOL_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"
#include "model/selector.h"

enum encap_mode { ENCAP_NEVER, ENCAP_ALWAYS, ENCAP_CROSS_SUBNET };

#define POOL_USE_TUNNEL (1U << 0)
#define POOL_USE_WORKLOAD (1U << 1)
#define POOL_USE_LOAD_BALANCER (1U << 2)

struct ip_pool {
	struct object base;
	const char *created;   /* metadata.creationTimestamp; "": not known */
	struct mg_prefix cidr; /* masked */
	enum encap_mode ipip;  /* at most one of the two is not ENCAP_NEVER */
	enum encap_mode vxlan;
	bool nat_outgoing;
	bool disabled; /* no new addresses; the pool still counts for natOutgoing */
	bool disable_bgp_export;
	bool manual;			   /* assignmentMode Manual: only when named */
	uint8_t block_size;		   /* as written: 20-32 or 116-128 */
	unsigned int uses;		   /* POOL_USE_*, by default tunnel and workload */
	const struct selector *nodes;	   /* nodeSelector, by default all() */
	const struct selector *namespaces; /* namespaceSelector, by default all() */
};

struct ip_reservation {
	struct object base;
	size_t count;
	struct mg_prefix *cidrs; /* masked */
};

static inline const struct ip_pool *ip_pool_of(const struct object *object)
{
	return object && object->kind == KIND_IP_POOL ? (const struct ip_pool *)object : NULL;
}

static inline const struct ip_reservation *ip_reservation_of(const struct object *object)
{
	return object && object->kind == KIND_IP_RESERVATION ? (const struct ip_reservation *)object
							     : NULL;
}

#endif
