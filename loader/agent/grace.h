/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grace after a commit (design section 4): numbers that were replaced are free once no program
 * reads them any more. The kernel is asked by a thread, as its answer takes 10 to 30 ms in which
 * the loop goes on, with further commits, too: an answer is about what was in force when it was
 * asked.
 */
#ifndef MARGAY_AGENT_GRACE_H
#define MARGAY_AGENT_GRACE_H

#include "agent/agent.h"

void grace_start(struct agent *agent);
void grace_stop(struct agent *agent);
/* After a commit, in the loop's idle turn. */
void grace_want(struct agent *agent);

#endif
