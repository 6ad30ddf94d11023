/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a traced packet that policy denies: what would have to be different, and by which rule it
 * would then be allowed (policy/nearest.h).
 *
 * "nearest": {"text": "allowed if port 8443 (NetworkPolicy shop/web, ingress rule 0: ...)",
 *	"if": [{"what": "port", "end": "destination", "text": "port 8443"}],
 *	"rule": {...} as show_rule() has it or null, "action": "Allow" or "Pass"}
 */
#ifndef MARGAY_AGENT_TRACE_NEAREST_H
#define MARGAY_AGENT_TRACE_NEAREST_H

#include "agent/agent.h"
#include "agent/packet.h"
#include "policy/nearest.h"

/* The connection as policy sees it, between nodes: {"src","dst","proto","sport","dport"}. */
json_t *trace_connection_json(const struct nearest_question *connection);
void trace_connection_read(const json_t *request, struct nearest_question *ret_connection);
/* Of a new connection as packet_build() makes it. */
void trace_connection_of(const struct packet_spec *spec, struct nearest_question *ret_connection);

/* NULL: nothing near allows it. */
json_t *trace_nearest(const struct agent *agent, const struct nearest_question *denied);

#endif
