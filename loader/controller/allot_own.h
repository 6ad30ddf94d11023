/* SPDX-License-Identifier: Apache-2.0 */
/* Private to controller/: what allot.c knows and allot_fill.c chooses from. */
#ifndef MARGAY_CONTROLLER_ALLOT_OWN_H
#define MARGAY_CONTROLLER_ALLOT_OWN_H

#include <uthash.h>

#include "controller/allot.h"
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
	struct object *object; /* ServiceCIDR */
	struct range *prev, *next;
};

struct allot {
	struct allotted *services;
	struct allotted *waiting;
	struct range *ranges; /* by name */
	struct used_addr *addrs;
	bool starved;	       /* somebody could not be given what it lacks */
	uint16_t ports[65536]; /* Services' ports that have this number, whatever protocol */
};

bool allot_addr_is_used(const struct allot *allot, const union mg_addr *addr);
bool allot_lacks(const struct allot *allot, const struct service *service);

#endif
