/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a traced packet in words: rules by their policies, slots by their pods.
 */
#ifndef MARGAY_AGENT_TRACE_WORDS_H
#define MARGAY_AGENT_TRACE_WORDS_H

#include "abi/event.h"
#include "agent/agent.h"
#include "agent/trace_flow.h"
#include "policy/nearest.h"

/* Which end a judgement belongs to, and how it ended: what the steps said so far. */
struct trace_walk {
	uint32_t src_slot, dst_slot;
	uint32_t next_node;
	uint32_t reason;
	const struct trace_flow *flow;	    /* the live one that was copied; NULL: none */
	struct nearest_question connection; /* as policy sees it at this step; proto 0: not known */
	struct nearest_question denied;	    /* by the last judgement; slot 0: by none */
};

/* The next step of the walk; the caller frees. */
char *trace_words(const struct agent *agent, const struct mg_step *step, struct trace_walk *walk);

#endif
