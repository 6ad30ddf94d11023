/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of a pod's interface from one way of attaching to the other. ADD attaches by clsact
 * where it can, for a TCX list makes it wait for RCU twice, with the kernel's network lock held;
 * here they become TCX's in a quiet moment (quiet.h). Also when bpfAttachType changes.
 *
 * Meanwhile both ways stand. The first that judges a packet ends it: the endpoint's row says
 * MG_EP_TWICE before the second is there, until the first is gone.
 */
#ifndef MARGAY_AGENT_MOVE_H
#define MARGAY_AGENT_MOVE_H

#include "agent/agent.h"

/* Looks at the endpoint's programs when there is time, and moves them if they are not where
 * agent->attach wants them. */
void move_want(struct agent *agent, struct endpoint *endpoint);

#endif
