/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a cluster: the Node's condition NetworkUnavailable, as calico/node keeps it. False once all is
 * in force after a start, whatever it was before; true when the agent ends in order, so that no pod
 * is sent to a node on which nobody answers ADD. In between it is others', but a Node that lost it
 * (made anew) or still says that we are down gets it again.
 *
 * Source: kubernetes.io/docs/reference/node/node-status, "Conditions".
 */
#ifndef MARGAY_AGENT_NODE_CONDITION_H
#define MARGAY_AGENT_NODE_CONDITION_H

#include "agent/agent.h"

/* What the Node says, in agent->network_said. */
enum node_condition {
	NODE_CONDITION_ABSENT,
	NODE_CONDITION_OTHERS, /* unavailable, for a reason that is not ours */
	NODE_CONDITION_DOWN,   /* unavailable: our own word */
	NODE_CONDITION_UP,
};

/* This node's Node as it is now. */
void node_condition_seen(struct agent *agent, const json_t *node);
/* After a round that put everything into force. */
void node_condition_look(struct agent *agent);
/* Writes what is due, if anything is. */
int node_condition_write(struct agent *agent, struct err *err);
/* At an orderly end; says nothing where the store is out of reach. */
void node_condition_down(struct agent *agent);

#endif
