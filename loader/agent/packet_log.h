/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Log rules see, in the agent's log: a JSON object a line on stderr, with the rule, the
 * packet, its ends by name, and what became of it. Each rule has its own allowance
 * (logActionRateLimit); a line says how many before it were left out.
 */
#ifndef MARGAY_AGENT_PACKET_LOG_H
#define MARGAY_AGENT_PACKET_LOG_H

#include "abi/event.h"
#include "agent/agent.h"

/* Policy may have changed: the ring buffer is read while a Log rule is in force. */
void packet_log_look(struct agent *agent);
/* A record of the ring (MG_EVENT_LOG). */
void packet_log(struct agent *agent, const struct mg_event *event);
void packet_log_stop(struct agent *agent);

#endif
