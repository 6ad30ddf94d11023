/* SPDX-License-Identifier: Apache-2.0 */
/* Health, readiness and metrics; context is the agent (http.h, struct http_source). */
#ifndef MARGAY_AGENT_STATUS_H
#define MARGAY_AGENT_STATUS_H

#include "agent/agent.h"

/* Listens where FelixConfiguration says; a change is taken over when it is called again. */
int status_listen(struct agent *agent, struct err *err);

/* Writes the reasons why the node is not ready, a line each; true: there is none. */
bool status_ready(void *context, FILE *out);

/* The two lines before a metric's values (Prometheus text format 0.0.4). */
void metric_head(FILE *out, const char *name, const char *type, const char *help);

#endif
