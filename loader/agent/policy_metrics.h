/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics by policy: what their rules have counted on this node (counters.h). */
#ifndef MARGAY_AGENT_POLICY_METRICS_H
#define MARGAY_AGENT_POLICY_METRICS_H

#include <stdio.h>

struct agent;

void policy_metrics(struct agent *agent, FILE *out);

#endif
