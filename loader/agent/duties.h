/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Duties for the whole cluster, of one agent at a time: it holds the Lease
 * kube-system/margay-controller (controller/lease.h). Nobody takes the lease before there is
 * something to do: a Service, or an IPPool whose status is wrong (pool_status.h). Its holder
 * follows what controllers read, and writes behind the loop, one transaction at a time, each with
 * the renewal of the lease in it.
 */
#ifndef MARGAY_AGENT_DUTIES_H
#define MARGAY_AGENT_DUTIES_H

#include "agent/agent.h"

void duties_start(struct agent *agent);
void duties_stop(struct agent *agent); /* gives the lease up; before the store is closed */

/* There is something to do: somebody has to hold the lease. */
void duties_wanted(struct agent *agent);
/* After each store_dispatch(). */
void duties_dispatch(struct agent *agent);
bool duties_held(const struct agent *agent);

#endif
