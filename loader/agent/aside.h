/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces that DEL put aside: down, nobody's any more, under a name of their own. Deleting a
 * pair waits for RCU several times, with the kernel's network lock held for most of it (20 to 30
 * ms): that is a thread's work, done while no plugin is at work, one pair after the other. What a
 * former agent left is found by its name at the start.
 */
#ifndef MARGAY_AGENT_ASIDE_H
#define MARGAY_AGENT_ASIDE_H

#include "agent/agent.h"

#define ASIDE_PREFIX "cali-" /* '-' is in no name that ends in a hash */

void aside_start(struct agent *agent);
void aside_stop(struct agent *agent);
/* A plugin is at work: nothing is deleted for a moment, unless much waits. */
void aside_busy(struct agent *agent);
/* To be deleted when there is time, by name. False: it has not such a name, or too many wait. */
bool aside_take(struct agent *agent, const char *name);

#endif
