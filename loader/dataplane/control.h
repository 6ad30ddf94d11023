/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mg_control, mapped: every change is one aligned store that programs see at once. The agent is
 * the only writer.
 */
#ifndef MARGAY_DATAPLANE_CONTROL_H
#define MARGAY_DATAPLANE_CONTROL_H

#include "abi/policy.h"
#include "dataplane/map.h"

/* Caller unmaps with dp_control_close(). */
int dp_control_open(const struct dp_map *map, struct mg_control **ret_control, struct err *err);
void dp_control_close(struct mg_control *control); /* accepts NULL */

/* All that was written before it is seen by whoever sees the store. */
static inline void dp_control_store(__u32 *member, __u32 value)
{
	__atomic_store_n(member, value, __ATOMIC_RELEASE);
}

static inline void dp_control_raise(__u32 *member)
{
	__atomic_add_fetch(member, 1, __ATOMIC_RELEASE);
}

#endif
