/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of `margayctl policy diff` (docs/policy.md: "Before you apply"), as it is gathered. */
#ifndef MARGAY_AGENT_POLICY_DIFF_WORDS_H
#define MARGAY_AGENT_POLICY_DIFF_WORDS_H

#include "agent/agent.h"

struct compare_change;
struct policy_diff_report;
struct replay;

struct policy_diff_report *policy_diff_report(struct agent *agent);
/* An object on which policy does not depend. */
void policy_diff_ignored(struct policy_diff_report *report, const struct object *object);
/* Of compare_run(); ctx is the report. */
void policy_diff_change(void *ctx, const struct compare_change *change);
void policy_diff_flows(struct policy_diff_report *report, const struct replay *flows);
/* The whole answer. */
json_t *policy_diff_json(struct policy_diff_report *report);

#endif
