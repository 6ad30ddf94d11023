/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine's compiled tables say of a packet: bpf/lib/policy.h over the engine's own rows.
 * Nothing is evaluated that the tables do not hold. For tools that ask what would be.
 */
#ifndef MARGAY_POLICY_JUDGE_H
#define MARGAY_POLICY_JUDGE_H

#include <stdint.h>

#include "abi/policy.h"

struct engine;

struct judge_packet {
	uint8_t proto; /* IPPROTO_* */
	uint16_t sport;
	uint16_t dport; /* ICMP, ICMPv6: type << 8 | code */
};

/* Identities of the two ends as a set sees them. near matters to sets of both ends alone. */
struct judge_ends {
	uint16_t near;
	uint16_t far;
};

/* The class that a set (MG_SET_*, or one of the engine's) gives two ends, the engine's until the
 * next grace. MG_SET_NONE judges nothing: that allows. */
const struct mg_class *judge_class(const struct engine *engine, uint32_t set,
				   const struct judge_ends *ends);
/* The class that holds for a source port. */
const struct mg_class *judge_source(const struct engine *engine, const struct mg_class *class,
				    uint16_t sport);
/* Numbers of verdicts. judge_other(): a protocol without a table of its own; source port 0. */
uint32_t judge_packet(const struct engine *engine, const struct mg_class *class,
		      const struct judge_packet *packet);
uint32_t judge_other(const struct engine *engine, const struct mg_class *class, uint8_t proto);
struct mg_verdict judge_row(const struct engine *engine, uint32_t number);

#endif
