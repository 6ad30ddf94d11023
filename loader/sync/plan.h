/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy engine's plan into the kernel, phase after phase (policy/engine.h), and the rows of
 * mg_addrs and mg_nets, whose identity is the engine's and whose rest is the state's. Order, after
 * design section 4: rows, then epochs of what changed, then the commit, then the change counter.
 *
 * A plan that failed half way is written again from its start.
 */
#ifndef MARGAY_SYNC_PLAN_H
#define MARGAY_SYNC_PLAN_H

#include "dataplane/control.h"
#include "dataplane/load.h"
#include "dataplane/pages.h"
#include "policy/engine.h"
#include "state/state.h"

struct plan_target {
	const struct dp *dp;
	struct dp_pages *pages;
	struct mg_control *control;
	const struct engine *engine;
	const struct state *state;
	bool removal; /* rows nobody wants are removed; false while the agent starts */
};

struct plan_report {
	unsigned int rows;  /* of the engine's maps */
	unsigned int moved; /* rows of mg_addrs and mg_nets written or removed */
	bool committed;
};

/* Writes the plan and what the state touched (state_touched()). */
int plan_write(const struct plan_target *target, const struct plan *plan,
	       struct plan_report *ret_report, struct err *err);

#endif
