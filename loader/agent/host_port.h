/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of this node that lead to its pods (CNI's portMappings): from the plugin's request or
 * record to frontends of the services' state.
 */
#ifndef MARGAY_AGENT_HOST_PORT_H
#define MARGAY_AGENT_HOST_PORT_H

#include "agent/agent.h"

/* endpoint->ports anew; what is no mapping is left out, the plugin has refused it. */
void host_ports_take(struct endpoint *endpoint, const json_t *request);

void host_ports_drop(struct endpoint *endpoint);

/* May it have them? A further network of a container gets none, the first one has them.
 * -EADDRNOTAVAIL: hostIP is no address of this node. -EADDRINUSE: a pod or a Service has one. */
int host_ports_check(struct agent *agent, struct endpoint *endpoint, struct err *err);

/* Rows follow with the next reconcile. */
void host_ports_tell(struct agent *agent, const struct endpoint *endpoint);
void host_ports_forget(struct agent *agent, const struct endpoint *endpoint);

#endif
