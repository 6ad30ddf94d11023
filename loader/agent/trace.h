/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `margayctl trace`: a packet through the trace copy of the programs (dataplane/trace.h), and the
 * steps it took in words. The copy is loaded on demand and freed a minute after the last question.
 *
 * Request  {"op":"trace","src":"ns/pod or address","dst":...,"protocol":"tcp","port":8080,
 *           "family":4}                       a new connection, from a pod of this node, or from
 *                                             or to the node itself
 *          with "flow":true                   a live one, the latest that fits; "source_port":N
 *          {"op":"trace","packet":"hex"}      a packet that came from another node's answer, with
 *                                             that answer's "connection", and of a live
 *                                             connection its "flow"
 * Answer   {"verdict":"allowed|dropped|forwarded","reason":...,"steps":[{"step":...,"text":...}],
 *           "rules":[...],"next_node":...,"packet":"hex",
 *           "flow":{"src","dst","proto","sport","dport"},"connection":{the same},
 *           "nearest":{...}}                  where policy denies (agent/trace_nearest.h)
 * forwarded: the way goes on at next_node, which is to be asked with the packet.
 */
#ifndef MARGAY_AGENT_TRACE_H
#define MARGAY_AGENT_TRACE_H

#include "agent/agent.h"

int trace_ask(struct agent *agent, const json_t *request, json_t **ret_answer, struct err *err);
void trace_handle(struct agent *agent, struct server_call *call, const json_t *request);
/* An object TraceRequest: spec is a request with a packet and the node that is asked; the answer
 * goes into status. That is how margayctl asks node after node without a way to their sockets. */
void trace_object(struct agent *agent, const json_t *object);
void trace_stop(struct agent *agent);

#endif
