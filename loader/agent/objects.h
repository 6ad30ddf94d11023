/* SPDX-License-Identifier: Apache-2.0 */
/* From the datastore to the state. */
#ifndef MARGAY_AGENT_OBJECTS_H
#define MARGAY_AGENT_OBJECTS_H

#include "agent/agent.h"

/* Opens the store (IPAM needs it before anything else does), then follows it. */
int objects_open(struct agent *agent, struct err *err);
int objects_start(struct agent *agent, struct err *err);
void objects_stop(struct agent *agent);

#endif
