/* SPDX-License-Identifier: Apache-2.0 */
/* From the datastore to the state. */
#ifndef MARGAY_AGENT_OBJECTS_H
#define MARGAY_AGENT_OBJECTS_H

#include "agent/agent.h"

/* Opens the store (IPAM needs it before anything else does), then follows it. */
int objects_open(struct agent *agent, struct err *err);
/* What the store says of an object: into the history, and, unless policy is held, into force. */
void objects_tell(struct agent *agent, const struct store_event *event);
/* The state, and whoever else depends on objects. */
void objects_apply(struct agent *agent, const struct store_event *event);

int objects_start(struct agent *agent, struct err *err);
void objects_stop(struct agent *agent);

/* A Pod that is added here, for its annotations: as the watch has it, else read from the store,
 * once. uid: as the runtime has it, "" where it does not say. One reference; NULL: there is none,
 * or (the log tells) it cannot be read. -ESTALE: all that is known is another Pod of that name. */
int objects_pod(struct agent *agent, const char *ns, const char *name, const char *uid,
		struct object **ret_pod);

#endif
