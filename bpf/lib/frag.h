/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fragments, both families: the first one of a packet leaves its ports in mg_frags, later ones
 * take them from there and so belong to its flow. Nothing is put together here: reassembly is
 * the receiver's.
 *
 * The key is the tuple as it stands on the wire where the step runs, so it must run before any
 * rewrite. A later fragment that overtakes the first one is dropped under its own reason.
 */
#ifndef MARGAY_LIB_FRAG_H
#define MARGAY_LIB_FRAG_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/node.h"
#include "lib/packet.h"
#include "lib/tick.h"
#include "maps/frags.h"

#define FRAG_LIFE (30 * TICKS_A_SECOND) /* where mg_local says nothing: net.ipv4.ipfrag_time */

static __always_inline void frag_key(struct mg_frag_key *key, const struct packet *pkt)
{
	key->src = pkt->src;
	key->dst = pkt->dst;
	key->id = pkt->frag_id;
	key->proto = pkt->proto;
	__builtin_memset(key->pad, 0, sizeof(key->pad));
}

static __always_inline __u32 frag_life(void)
{
	const struct mg_local *local = local_row();

	return local && local->timeout[MG_TMO_FRAG] ? local->timeout[MG_TMO_FRAG] : FRAG_LIFE;
}

/* Step, after parse and before the flow lookup. */
static __always_inline int frag_track(struct packet *pkt)
{
	struct mg_frag_key key;
	struct mg_frag *row;

	if (!(pkt->flags & PKT_FRAGMENT))
		return 0;
	frag_key(&key, pkt);
	if (!(pkt->flags & PKT_LATER_FRAGMENT)) {
		struct mg_frag new = { .sport = pkt->sport,
				       .dport = pkt->dport,
				       .seen = pkt->tick };

		/* a full table evicts: only the later fragments of this packet can miss it */
		bpf_map_update_elem(&mg_frags, &key, &new, BPF_ANY);
		return 0;
	}
	row = bpf_map_lookup_elem(&mg_frags, &key);
	if (!row || pkt->tick - row->seen > frag_life())
		return -MG_DROP_FRAG_ORDER;
	pkt->sport = row->sport;
	pkt->dport = row->dport;
	return 0;
}

#endif
