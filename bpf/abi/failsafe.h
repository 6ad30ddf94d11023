/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Failsafe ports (FelixConfiguration failsafeInboundHostPorts, failsafeOutboundHostPorts):
 * connections of the node itself that no policy of a host endpoint closes.
 *
 * Key of a longest-prefix trie: direction, protocol and port are always compared whole, the far
 * end's address by its prefix.
 */
#ifndef MARGAY_ABI_FAILSAFE_H
#define MARGAY_ABI_FAILSAFE_H

#include "abi/addr.h"

#define MG_FAILSAFE_IN 0  /* to a port of the node */
#define MG_FAILSAFE_OUT 1 /* from the node to a port elsewhere */

#define MG_FAILSAFE_BITS 32 /* before the address */

struct mg_failsafe_key {
	__u32 len; /* MG_FAILSAFE_BITS and those of the prefix */
	__u8 direction;
	__u8 proto;  /* IPPROTO_* */
	__be16 port; /* destination's */
	union mg_addr addr;
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(struct mg_failsafe_key) == 24, "mg_failsafe_key");

#endif
