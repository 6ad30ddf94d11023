/* SPDX-License-Identifier: Apache-2.0 */
/* This node's addresses and its Node object. */
#ifndef MARGAY_AGENT_NODE_OBJECT_H
#define MARGAY_AGENT_NODE_OBJECT_H

#include "agent/agent.h"

/* Before the loop runs: finds the addresses, writes Node and ClusterInformation. */
int node_register(struct agent *agent, struct err *err);

/* Addresses that are to be found are looked for again; true: one is another now. */
bool node_look(struct agent *agent);

#endif
