/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a flow: its rows go, and what they counted goes to the rules that allowed it.
 */
#ifndef MARGAY_LIB_FLOW_END_H
#define MARGAY_LIB_FLOW_END_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"
#include "lib/flow_key.h"
#include "lib/flow_side.h"
#include "lib/packet.h"
#include "lib/row.h"
#include "maps/flow_e.h"
#include "maps/flow_t.h"

/* Moves a row's counts to the rules that allowed it. Verified once. */
__weak __noinline int flow_fold(struct mg_flow *flow)
{
	__u64 packets, bytes;

	if (!flow)
		return 0;
	packets = flow->packets;
	bytes = flow->bytes;
	if (!(flow->flags & FLOW_TRANSLATED)) {
		packets += flow->back.packets;
		bytes += flow->back.bytes;
		flow->back.packets = 0;
		flow->back.bytes = 0;
	}
	flow->packets = 0;
	flow->bytes = 0;
	flow_fold_side(flow, PKT_OUT, packets, bytes);
	flow_fold_side(flow, PKT_IN, packets, bytes);
	return 0;
}

/* The row at pkt->key2, in whichever table. */
static __always_inline struct mg_flow *flow_partner(struct packet *pkt)
{
	struct mg_flow *partner = bpf_map_lookup_elem(&mg_flow_e, &pkt->key2);

	return partner ?: bpf_map_lookup_elem(&mg_flow_t, &pkt->key2);
}

/* Deletes the row of pkt->key, and its partner. The pointer is void after it. */
__weak __noinline int flow_end(struct packet *pkt, struct mg_flow *flow)
{
	struct mg_flow *partner = NULL;
	bool pair;

	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return -MG_DROP_INTERNAL;
	pair = flow->flags & FLOW_TRANSLATED;
	if (pair) {
		flow_key_partner(pkt, flow);
		partner = flow_partner(pkt);
	}
	flow_fold(flow);
	if (partner)
		flow_fold(partner);
	bpf_map_delete_elem(&mg_flow_e, &pkt->key);
	bpf_map_delete_elem(&mg_flow_t, &pkt->key);
	if (pair) {
		bpf_map_delete_elem(&mg_flow_e, &pkt->key2);
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	}
	return 0;
}

/* A new connection on a tuple whose old one is over: its rows go first. */
__weak __noinline int flow_end_old(struct packet *pkt)
{
	struct mg_flow *old;

	pkt = packet_row(pkt);
	if (!pkt)
		return 0;
	old = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);
	if (!old)
		old = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	return old ? flow_end(pkt, old) : 0;
}

#endif
