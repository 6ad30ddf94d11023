/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live connection for `margayctl trace --flow`: found among the flow rows in force by what the
 * question says of it, and copied into the trace copy's tables (dataplane/trace.h), so that the
 * packet asked about is one of that connection and not the first of a new one.
 */
#ifndef MARGAY_AGENT_TRACE_FLOW_H
#define MARGAY_AGENT_TRACE_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/flow.h"
#include "agent/agent.h"

/* As its packets from src to dst have it, whoever opened it; ports in host order, of ICMP the
 * identifier in both. */
struct trace_flow {
	union mg_addr src;
	union mg_addr dst;
	uint8_t proto;
	uint16_t sport; /* 0: any; filled by the find */
	uint16_t dport;
	struct mg_flow row; /* filled by the find */
};

/* The latest one that fits. -ENOENT: there is none. */
int trace_flow_find(struct agent *agent, struct trace_flow *flow);

/* Copies the row of the flow's tuple, whose ports are all given, and its partner where it is
 * translated. Without a row nothing is copied, and the programs will say so. */
int trace_flow_copy(struct agent *agent, const struct trace_flow *flow);

/* The tuple for the next node's question: {"src","dst","proto","sport","dport"}, and back.
 * -EINVAL: no such object, or no addresses in it; ret_flow is as it was. */
json_t *trace_flow_json(const struct trace_flow *flow);
int trace_tuple_read(const json_t *json, struct trace_flow *ret_flow);
/* What the next node reads: nothing where the question is about a new connection. */
int trace_flow_read(struct agent *agent, const json_t *request, struct trace_flow *ret_flow,
		    struct err *err);

#endif
