/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds through the flow tables (design section 5): what has outlived its time and nobody looks up
 * again is ended, and what it counted goes to its rules. A slice of rows a turn of the loop.
 */
#ifndef MARGAY_AGENT_SWEEP_H
#define MARGAY_AGENT_SWEEP_H

struct agent;

void sweep_start(struct agent *agent);
void sweep_stop(struct agent *agent);

#endif
