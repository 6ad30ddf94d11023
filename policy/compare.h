/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables before and after a change: which packets of which endpoints get another verdict.
 *
 *	before = compare_begin(engine)		nothing is pending
 *	... the engine is told, engine_build() ...
 *	compare_run(before, engine, each, ctx)	before the next grace
 *	compare_end(before)
 *
 * Sets in force then and now are compared over all identities, those that an address had then
 * against those that it has now. Rows without a difference in what happens to a packet are none:
 * another rule may have come to the same. Staged sets decide nothing and are left out. A pod as its
 * own peer is not told apart: it always reaches itself.
 */
#ifndef MARGAY_POLICY_COMPARE_H
#define MARGAY_POLICY_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/engine.h"

struct compare;

struct compare *compare_begin(const struct engine *engine);
void compare_end(struct compare *before); /* accepts NULL */

/* As they were at compare_begin(). */
uint16_t compare_identity(const struct compare *before, const union mg_addr *addr);
uint32_t compare_set(const struct compare *before, uint32_t slot, enum mg_stage stage);
/* As a program would find it now: the exact row, else the longest prefix. */
uint16_t compare_identity_now(const struct engine *engine, const union mg_addr *addr);

#define COMPARE_SAMPLES 8

/* Addresses and prefixes that had one identity and have another, or still the same. */
struct compare_peer {
	uint16_t before;
	uint16_t now;
	uint32_t count; /* rows of addresses and prefixes */
	struct mg_prefix sample[COMPARE_SAMPLES];
};

enum {
	/* Protocols that are not TCP, UDP, SCTP, ICMP or named beside it; one that rules name may
	 * stay as it is. */
	COMPARE_OTHERS = -1,
	COMPARE_ALL = -2, /* whatever the protocol and the ports */
};

/* Packets whose verdict (a number: judge_row()) changes. */
struct compare_traffic {
	int proto;	/* IPPROTO_* or COMPARE_* */
	uint16_t first; /* destination ports; ICMP: type << 8 | code; else 0 and 65535 */
	uint16_t last;
	uint16_t sport_first; /* 0 and 65535: whatever the source port */
	uint16_t sport_last;
	uint32_t before;
	uint32_t now;
};

struct compare_change {
	enum mg_stage stage;
	const uint32_t *slot; /* endpoints */
	size_t slots;
	const struct compare_peer *const *near; /* host endpoints: the end at the node; 0: any */
	size_t nears;
	const struct compare_peer *const *far;
	size_t fars;
	const struct compare_traffic *traffic;
	size_t traffics;
};

/* What a verdict does at a stage: before connections a verdict without rule goes on to the next. */
enum compare_outcome { COMPARE_DENIES, COMPARE_ALLOWS, COMPARE_GOES_ON };
enum compare_outcome compare_outcome(const struct engine *engine, enum mg_stage stage,
				     uint32_t verdict);

void compare_run(struct compare *before, const struct engine *engine,
		 void (*each)(void *ctx, const struct compare_change *change), void *ctx);

#endif
