/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live flows judged by the engine's tables as they are at a moment (policy/judge.h), in the
 * opener's direction, for the sides that this node has judged: what bpf/lib/recheck.h would say of
 * the next packet. ICMP is taken for an echo request: a flow's row has no type.
 */
#ifndef MARGAY_AGENT_REPLAY_H
#define MARGAY_AGENT_REPLAY_H

#include "agent/agent.h"

enum replay_side {
	REPLAY_SENDER,	 /* the policy of the pod that opened it */
	REPLAY_RECEIVER, /* of the pod it goes to */
	REPLAY_ENTRY,	 /* of the host endpoint where it comes in */
	REPLAY_EXIT,	 /* where it leaves */
	REPLAY_SIDES
};

#define REPLAY_NOT_JUDGED UINT32_MAX

struct replay_answer {
	uint32_t verdict[REPLAY_SIDES]; /* its number, or REPLAY_NOT_JUDGED */
	enum replay_side denied;	/* REPLAY_SIDES: by nobody */
};

/* The connection as policy sees it: behind translation of the destination, before that of the
 * source. Ports in host order. */
struct replay_flow {
	union mg_addr src;
	union mg_addr dst;
	uint16_t sport; /* ICMP: both are the identifier */
	uint16_t dport;
	uint8_t proto;
	uint16_t flags; /* MG_FLOW_* */
	uint32_t at[2]; /* MG_SIDE_*: where it comes in and leaves, of a side that is no pod's */
	struct replay_answer answer[2];
};

struct replay;

/* Reads both flow tables; of a translated connection the opener's row. */
struct replay *replay_read(struct agent *agent);
void replay_free(struct replay *replay);
size_t replay_count(const struct replay *replay);
const struct replay_flow *replay_at(const struct replay *replay, size_t i);

/* Into answer[when] of every flow. */
void replay_judge(struct replay *replay, struct agent *agent, unsigned int when);

#endif
