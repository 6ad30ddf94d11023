/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `margayctl policy diff`: what would change if some objects were as the question has them. A child
 * process, a copy of this one, is told them and compares (docs/decisions/diff-in-a-copy.md):
 *
 *	policy_diff.c		the child, and its answer
 *	policy_diff_child.c	what the child does
 *	replay.c		live flows judged by tables
 *
 * {"op":"policy-diff","objects":[...]}: objects whole, as they would be stored. One question at a
 * time; the next one is told to ask again (code 11).
 */
#ifndef MARGAY_AGENT_POLICY_DIFF_H
#define MARGAY_AGENT_POLICY_DIFF_H

#include "agent/agent.h"

#define POLICY_DIFF_SECONDS 25 /* that the child may take */

void policy_diff_handle(struct agent *agent, struct server_call *call, const json_t *request);
void policy_diff_stop(struct agent *agent);

/* Of the child: changes the agent's memory, and nothing else. */
int policy_diff_answer(struct agent *agent, const json_t *objects, json_t **ret_answer,
		       struct err *err);

#endif
