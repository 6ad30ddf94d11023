/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool's change of encapsulation without a lost packet: every node accepts the new kind at once,
 * sends it only after SWITCH_DELAY (by then the others have read the pool too), and goes on
 * accepting the old kind for SWITCH_KEEP. Nodes need not agree on a moment.
 */
#ifndef MARGAY_AGENT_POOL_SWITCH_H
#define MARGAY_AGENT_POOL_SWITCH_H

#include "agent/agent.h"

/* True: the object was kept back and will reach the state later. */
bool pool_switch(struct agent *agent, const struct object *object);
/* The pool went: forget what was kept back. */
void pool_switch_cancel(struct agent *agent, const char *name);
void pool_switch_stop(struct agent *agent);

#endif
