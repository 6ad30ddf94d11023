/* SPDX-License-Identifier: Apache-2.0 */
/* This node among the others: node_object.c has its Node object, own_address.c its addresses,
 * node.c the ways to the other nodes and what the kernel tells. */
#ifndef MARGAY_AGENT_NODE_H
#define MARGAY_AGENT_NODE_H

#include "agent/agent.h"

/* Finds own addresses, registers the Node object, listens to netlink. */
int node_start(struct agent *agent, struct err *err);
void node_stop(struct agent *agent);
/* Own addresses, tunnel addresses, and the kernel's way to each node, anew. */
void node_refresh(struct agent *agent);
/* Where this node's Node stands in the store. */
struct store_key node_key(const struct agent *agent);
/* The Node object is written behind this turn, and again until it was. */
void node_changed(struct agent *agent);

#endif
