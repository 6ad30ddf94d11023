/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pools that a cluster begins with, as calico/node makes them: CALICO_IPV4POOL_CIDR becomes
 * default-ipv4-ippool, CALICO_IPV6POOL_CIDR default-ipv6-ippool; of each family _BLOCK_SIZE, _IPIP,
 * _VXLAN, _NAT_OUTGOING and _NODE_SELECTOR say the rest. Pure.
 *
 * Source: docs.tigera.io/calico/latest/reference/configure-calico-node, section "IP pool".
 */
#ifndef MARGAY_CONTROLLER_DEFAULT_POOL_H
#define MARGAY_CONTROLLER_DEFAULT_POOL_H

#include <jansson.h>

struct err;

typedef const char *(*default_pool_get)(void *arg, const char *name);

/* The object for a family (4 or 6) from what get() says of each variable, a new reference; NULL in
 * *ret_object where no CIDR is given. -EINVAL: err names the variable. */
int default_pool_of(int family, default_pool_get get, void *arg, json_t **ret_object,
		    struct err *err);

#endif
