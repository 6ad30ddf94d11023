/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostEndpoint (projectcalico.org/v3): interfaces of a node, with labels that policies select.
 */
#ifndef MARGAY_MODEL_HOST_H
#define MARGAY_MODEL_HOST_H

#include <string.h>

#include "abi/addr.h"
#include "model/object.h"

/* The one profile there is for host endpoints: what no policy decides is allowed. */
#define PROFILE_DEFAULT_ALLOW "projectcalico-default-allow"

struct host_endpoint {
	struct object base;
	const char *node;
	const char *interface; /* "": the one that has one of ips; "*": all */
	size_t ip_count;
	union mg_addr *ips; /* expectedIPs: whom selectors of rules mean by its labels */
	size_t profile_count;
	const char **profiles;
};

static inline const struct host_endpoint *host_endpoint_of(const struct object *object)
{
	return object && object->kind == KIND_HOST_ENDPOINT ? (const struct host_endpoint *)object
							    : NULL;
}

static inline bool host_is_for_all(const struct host_endpoint *host)
{
	return !strcmp(host->interface, "*");
}

#endif
