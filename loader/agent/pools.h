/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPPools between the datastore and the state: of two that overlap the older one is in force
 * (model/pool_order.h), the other one is named. Who writes by margayctl is told beforehand; pools
 * of several manifests, or written by other tools, meet here.
 */
#ifndef MARGAY_AGENT_POOLS_H
#define MARGAY_AGENT_POOLS_H

#include "agent/agent.h"

/* An IPPool came or changed (a reference is taken), or went; in force with pools_settle(). */
void pools_set(struct agent *agent, const struct object *object);
void pools_del(struct agent *agent, const char *name);
/* After what came together: tells the state what is in force now. */
void pools_settle(struct agent *agent);
/* behind: what keeps it out of force, NULL: nothing. */
void pools_each(struct agent *agent,
		void (*fn)(void *arg, const struct object *pool, const char *behind), void *arg);
void pools_stop(struct agent *agent);

#endif
