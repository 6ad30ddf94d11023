/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceCIDR (networking.k8s.io/v1): where cluster addresses of Services come from. At most one
 * prefix a family; the first one's family is the primary.
 */
#ifndef MARGAY_MODEL_SERVICE_CIDR_H
#define MARGAY_MODEL_SERVICE_CIDR_H

#include "abi/addr.h"
#include "model/object.h"

struct service_cidr {
	struct object base;
	size_t count;
	struct mg_prefix *cidrs;
};

static inline const struct service_cidr *service_cidr_of(const struct object *object)
{
	return object && object->kind == KIND_SERVICE_CIDR ? (const struct service_cidr *)object
							   : NULL;
}

#endif
