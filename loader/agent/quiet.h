/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that keeps the kernel's network lock for tens of milliseconds, because it waits for RCU
 * under it: deleting interfaces, TCX lists. A thread does it, one piece after the other, while no
 * plugin is at work; an ADD or DEL that comes meanwhile waits for the rest of one piece at most.
 */
#ifndef MARGAY_AGENT_QUIET_H
#define MARGAY_AGENT_QUIET_H

#include "agent/agent.h"

/* Part of a structure of its owner's. Functions but run() are called in the loop. */
struct quiet_work {
	/* At its turn: false: not needed any more. NULL: go. */
	bool (*begin)(struct agent *agent, struct quiet_work *work);
	/* In the thread: nothing of the agent's but what the work carries. */
	int (*run)(struct quiet_work *work, struct err *err);
	/* With what run() returned; the work is the owner's again, to free or to add. */
	void (*done)(struct agent *agent, struct quiet_work *work, int result,
		     const struct err *err);
	void (*release)(struct quiet_work *work); /* not done: not needed, or the agent ends */
	unsigned int pause_ms;			  /* after it, for others that want the lock */
	bool presses; /* where many such wait they are done without a quiet moment */
	struct quiet_work *next, *prev;
};

void quiet_start(struct agent *agent);
/* Waits for the thread. */
void quiet_stop(struct agent *agent);
/* A plugin is at work. */
void quiet_busy(struct agent *agent);
void quiet_add(struct agent *agent, struct quiet_work *work);

#endif
