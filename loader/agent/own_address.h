/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses are this node's own: those that it was given, or what its methods find
 * (dataplane/detect.h), at the start and whenever links, addresses, routes or its Node change.
 */
#ifndef MARGAY_AGENT_OWN_ADDRESS_H
#define MARGAY_AGENT_OWN_ADDRESS_H

#include "agent/agent.h"

/* Reads the settings and finds the addresses; asks the store for the Node where a method needs it.
 */
int own_address_start(struct agent *agent, struct err *err);
void own_address_stop(struct agent *agent);

/* Looks for them again; true: one is another now. */
bool own_address_look(struct agent *agent);

/* The Node as it is now; true: the addresses are to be looked for again. */
bool own_address_node(struct agent *agent, const json_t *node);

#endif
