/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods' interfaces on the host's side: our programs stay attached and first (the plugin attached
 * them), in the end by the way that bpfAttachType says (move.h); a queueing discipline of somebody
 * else turns redirect_peer off for the pod, so that it counts (design, "Beside others").
 */
#ifndef MARGAY_AGENT_PODS_H
#define MARGAY_AGENT_PODS_H

#include "agent/agent.h"

/* Of all pods, or of those with `look`. Goes on after a failure; the first one is returned. */
int pods_refresh(struct agent *agent, bool all, struct err *err);
/* Looks at the queues alone: before rows are written. */
int pods_queues(struct agent *agent, struct err *err);

#endif
