/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be, into the kernel: uplinks, ways, the engine's plan, the small tables, routes, in
 * this order, once at the end of each turn of the loop in which something changed. A failure leaves
 * what is in force, is named by readiness and is tried again with growing pauses.
 */
#ifndef MARGAY_AGENT_RECONCILE_H
#define MARGAY_AGENT_RECONCILE_H

#include "agent/agent.h"

void reconcile_start(struct agent *agent);
void reconcile_stop(struct agent *agent);
/* Now; also what the loop runs. */
void reconcile(struct agent *agent);

#endif
