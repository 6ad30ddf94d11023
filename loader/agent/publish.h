/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WorkloadEndpoints of this node (in a cluster, annotations of its Pods), from which other nodes
 * learn addresses. Written behind ADD and DEL, several in one transaction; what the store does not
 * take now is tried again.
 */
#ifndef MARGAY_AGENT_PUBLISH_H
#define MARGAY_AGENT_PUBLISH_H

#include "agent/agent.h"

void publish_start(struct agent *agent);
void publish_stop(struct agent *agent);
void publish_endpoint(struct agent *agent, const struct endpoint *endpoint);
void publish_removed(struct agent *agent, const struct endpoint *endpoint);

#endif
