/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ring buffer (abi/event.h) in words, with the names of their ends.
 */
#ifndef MARGAY_AGENT_EVENT_JSON_H
#define MARGAY_AGENT_EVENT_JSON_H

#include "abi/event.h"
#include "agent/agent.h"

/* "ns/pod", where a pod has the address; else the address. The caller frees. */
char *event_end(const struct agent *agent, const union mg_addr *addr);

/* The packet went no further. */
bool event_dropped(const struct mg_event *event);

/* What `margayctl monitor` gets. New reference. */
json_t *event_json(struct agent *agent, const struct mg_event *event);

#endif
