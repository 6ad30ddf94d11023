/* SPDX-License-Identifier: Apache-2.0 */
/* This node: its addresses, its Node object, and the ways to the other nodes. */
#ifndef MARGAY_AGENT_NODE_H
#define MARGAY_AGENT_NODE_H

#include "agent/agent.h"

/* Finds own addresses, registers the Node object, listens to netlink. */
int node_start(struct agent *agent, struct err *err);
void node_stop(struct agent *agent);
/* Asks the kernel for the way to each node. */
void node_refresh_ways(struct agent *agent);

#endif
