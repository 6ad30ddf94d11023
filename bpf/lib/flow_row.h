/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * In which of the two flow tables a key's row lies.
 */
#ifndef MARGAY_LIB_FLOW_ROW_H
#define MARGAY_LIB_FLOW_ROW_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"
#include "lib/packet.h"
#include "maps/flow_e.h"
#include "maps/flow_t.h"

/* One of 64 places of the row's memory of tables; flows that share one cost each other a look-up.
 */
static __always_inline __u64 flow_place(const struct mg_flow_key *key)
{
	__u32 mixed = key->port_a ^ key->port_b;

	return 1ULL << ((mixed ^ mixed >> 8) & 63);
}

/* The row of pkt->key, and PKT_ESTABLISHED. A look-up that misses costs as much as one that finds:
 * the table in which this place's last row lay is read first. */
static __always_inline struct mg_flow *flow_row(struct packet *pkt)
{
	__u64 place = flow_place(&pkt->key);
	bool transient = pkt->transient & place;
	struct mg_flow *flow;

	if (transient) {
		flow = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
		if (flow)
			return flow;
	}
	flow = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);
	if (flow) {
		pkt->flags |= PKT_ESTABLISHED;
		pkt->transient &= ~place;
		return flow;
	}
	if (transient)
		return NULL;
	flow = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	if (flow)
		pkt->transient |= place;
	return flow;
}

#endif
