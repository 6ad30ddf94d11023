/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces that DEL put aside: down, nobody's any more, under a name of their own. Deleting a
 * pair waits for RCU several times, with the kernel's network lock held for most of it (20 to 30
 * ms): work for a quiet moment (quiet.h). What a former agent left is found by its name at the
 * start.
 */
#ifndef MARGAY_AGENT_ASIDE_H
#define MARGAY_AGENT_ASIDE_H

#include "agent/agent.h"

#define ASIDE_PREFIX "cali-" /* '-' is in no name that ends in a hash */

void aside_start(struct agent *agent);
/* To be deleted when there is time, by name. False: it has not such a name, or too many wait. */
bool aside_take(struct agent *agent, const char *name);

#endif
