/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packet as what it is, a map's row. To a function that is verified once its argument is
 * plain memory, and before kernel 6.2 the verifier takes keys and values from the stack and from
 * maps only: a function that uses parts of the packet as such asks here first.
 */
#ifndef MARGAY_LIB_ROW_H
#define MARGAY_LIB_ROW_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/packet.h"
#include "maps/scratch.h"

/* The same packet; NULL stays NULL. */
static __always_inline struct packet *packet_row(const struct packet *pkt)
{
	__u32 hook;

	if (!pkt)
		return NULL;
	hook = pkt->hook;
	return bpf_map_lookup_elem(&mg_scratch, &hook);
}

#endif
