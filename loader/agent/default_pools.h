/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the pools that a cluster begins with (controller/default_pool.h) where the datastore has no
 * IPPool of the family and the environment gives a CIDR; NO_DEFAULT_POOLS=true makes none. The
 * agent invents no range.
 */
#ifndef MARGAY_AGENT_DEFAULT_POOLS_H
#define MARGAY_AGENT_DEFAULT_POOLS_H

struct err;
struct store;

/* Another node may be faster: then it is as it should be. -EINVAL: err names the variable. */
int default_pools_make(struct store *store, struct err *err);

#endif
