/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control socket shows: each function returns a new list or object with the stable names
 * that `margayctl ... -o json` prints. Never NULL.
 */
#ifndef MARGAY_AGENT_SHOW_H
#define MARGAY_AGENT_SHOW_H

#include "abi/flow.h"
#include "agent/agent.h"

#define SHOW_FLOWS_MAX 20000

json_t *show_status(struct agent *agent);
json_t *show_endpoints(struct agent *agent);
json_t *show_drops(struct agent *agent);
json_t *show_flows(struct agent *agent);
json_t *show_identities(struct agent *agent);
json_t *show_routes(struct agent *agent);
json_t *show_services(struct agent *agent);
/* Policies of endpoints in order; of one ("NAMESPACE/POD", or a host endpoint's name) with its
 * rules and what they have counted on this node. NULL: of all, without. */
json_t *show_policies(struct agent *agent, const char *endpoint);
/* What each policy has counted on this node, by direction and action. */
json_t *show_counters(struct agent *agent);

/* {"policy":..., "direction":..., "rule":..., "text":...}, or null where no rule decided. */
json_t *show_rule(struct agent *agent, uint32_t number);

/* What judged one side of a flow: 0 the sender's, 1 the receiver's. */
struct mg_judged show_side(const struct mg_flow *flow, unsigned int side);

/* What staged policies say beside it: {"verdict":..., "egress_rule":..., "ingress_rule":...}, the
 * rules those of staged policies; NULL where nothing staged concerns either side. denied: policy in
 * force denied it, on the last side that it judged. */
json_t *show_staged(struct agent *agent, const struct mg_judged side[2], bool denied);

#endif
