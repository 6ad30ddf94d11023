/* SPDX-License-Identifier: Apache-2.0 */
/* Private to controller/: what allot.c knows and allot_fill.c chooses from. */
#ifndef MARGAY_CONTROLLER_ALLOT_OWN_H
#define MARGAY_CONTROLLER_ALLOT_OWN_H

#include <uthash.h>

#include "controller/allot.h"
#include "model/ippool.h"
#include "model/pod.h"
#include "model/service.h"
#include "model/service_cidr.h"

struct used_addr {
	union mg_addr addr;
	int count; /* of Services that have it */
	UT_hash_handle hh;
};

struct allotted {
	char *key; /* "namespace/name" */
	struct object *object;
	bool waits;
	struct allotted *prev, *next; /* of those that wait */
	UT_hash_handle hh;
};

struct range {
	struct object *object; /* ServiceCIDR, IPPool */
	struct range *prev, *next;
};

struct spacename {
	char *name;
	struct object *object; /* Namespace */
	UT_hash_handle hh;
};

struct allot {
	struct allotted *services;
	struct allotted *waiting;
	struct range *ranges; /* by name */
	struct range *pools;  /* for load balancers, by name */
	struct spacename *spaces;
	struct used_addr *addrs;
	bool starved;	       /* somebody could not be given what it lacks */
	uint16_t ports[65536]; /* Services' ports that have this number, whatever protocol */
};

bool allot_addr_is_used(const struct allot *allot, const union mg_addr *addr);
bool allot_lacks(const struct allot *allot, const struct service *service);
uint32_t allot_hash(const char *text);
/* The families a Service has or is to have, the primary first; how many. */
size_t allot_families(const struct allot *allot, const struct service *service, bool *is6);

/* Of type LoadBalancer (allot_balancer.c). */
bool allot_lacks_ingress(const struct allot *allot, const struct service *service);
bool allot_fill_ingress(const struct allot *allot, const struct service *service, json_t *root,
			struct err *err);

#endif
