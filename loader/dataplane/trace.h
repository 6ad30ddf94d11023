/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace copy: a second load of the same object with mg_config.trace = 1. It shares the maps of
 * class DERIVED (policy, addresses, routes) with the set in force and has flow tables, counters,
 * events and scratch of its own, so asking changes nothing. Made on demand, one run at a time,
 * freed by the caller (the agent: after a minute).
 */
#ifndef MARGAY_DATAPLANE_TRACE_H
#define MARGAY_DATAPLANE_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/event.h"
#include "abi/flow.h"
#include "base/cleanup.h"

struct dp;
struct dp_trace;
struct err;

int dp_trace_load(const struct dp *dp, struct dp_trace **ret_trace, struct err *err);
void dp_trace_free(struct dp_trace *trace); /* accepts NULL */
DEFINE_CLEANUP(struct dp_trace *, dp_trace_free)

struct dp_trace_packet {
	const char *prog; /* "from_pod" ... */
	__u32 ifindex;	  /* device the packet seems to come from; must exist here */
	__u32 mark;
	bool from_socket; /* a socket of this node sent it: it came in nowhere */
	const void *data; /* frame with its Ethernet header */
	size_t size;
};

struct dp_trace_result {
	__u32 verdict; /* what the program returned: TC_ACT_* */
	__u32 mark;
	size_t size; /* of data after the run */
	__u8 *data;  /* caller's room of data_room bytes; NULL: not wanted */
	size_t data_room;
	struct mg_steps steps;
};

/* Flow rows of earlier runs are gone: a run asks about a new connection unless flows are set. */
int dp_trace_run(struct dp_trace *trace, const struct dp_trace_packet *packet,
		 struct dp_trace_result *ret_result, struct err *err);

/* Keeps a row for the next runs, until dp_trace_clear(): `trace --flow`. */
int dp_trace_set_flow(struct dp_trace *trace, const struct mg_flow_key *key,
		      const struct mg_flow *flow, bool established);
int dp_trace_clear(struct dp_trace *trace);

#endif
