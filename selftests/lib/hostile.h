/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile packets: made by chance from the cast of scene.h, then bent; and a second reading of
 * packets that shares no line with the product's parser. Written from RFC 791, 8200, 9293, 768,
 * 792, 4443.
 */
#ifndef MARGAY_SELFTESTS_LIB_HOSTILE_H
#define MARGAY_SELFTESTS_LIB_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include "selftests/lib/scene.h"

/* xorshift64*; the state is never 0. */
struct chance {
	uint64_t state;
};
uint64_t chance_next(struct chance *chance);
unsigned int chance_below(struct chance *chance, unsigned int limit);
bool chance_one_in(struct chance *chance, unsigned int n);

/* A frame of at least 15 bytes: of a pod (uplink false), or as it may come in by an uplink, where
 * a third is encapsulated, by whomever. */
void hostile_make(struct chance *chance, bool uplink, struct wire *wire);

/* What stands in a frame, by bytes. */
struct reading {
	bool ip;       /* of EtherType IPv4 or IPv6 and long enough for the fixed header */
	bool sound;    /* lengths and headers agree with one another and with the frame */
	bool routed;   /* holds a source route */
	bool fragment; /* a fragment; later: not the first */
	bool later;
	bool multicast;	     /* destination */
	unsigned short type; /* EtherType */
	int family;
	unsigned char proto; /* behind extension headers */
	unsigned char icmp_type;
	unsigned short sport;
	unsigned short dport;
	union mg_addr src;
	union mg_addr dst;
};
void hostile_read(const struct wire *wire, struct reading *ret_reading);

#endif
