/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What load balancers ask a node, answered as kube-proxy answers it:
 *	:healthCheckNodePort	200 while ready endpoints of the Service run here, else 503; the
 *body and X-Load-Balancing-Endpoint-Weight say how many :10256 /healthz		200 while
 *the proxy works and the node is not about to go :10256 /livez		200 while the proxy works
 * (bpfKubeProxyHealthzPort, 0: not at all.) A port that is taken is tried again: a kube-proxy that
 * still runs has it. Nothing is served as long as Services have no effect.
 *
 * Source: Kubernetes documentation, "Service", healthCheckNodePort; KEP-3836 for the node's part.
 */
#ifndef MARGAY_AGENT_SERVICE_HEALTH_H
#define MARGAY_AGENT_SERVICE_HEALTH_H

#include "agent/agent.h"

void service_health_start(struct agent *agent);
void service_health_stop(struct agent *agent);

void service_health_set(struct agent *agent, const struct object *object);
void service_health_del(struct agent *agent, enum kind kind, const char *ns, const char *name);
void service_health_node(struct agent *agent, const json_t *node); /* this node's Node object */

#endif
