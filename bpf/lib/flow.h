/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow rows (abi/flow.h): find, create, end. A caller makes the key, finds, and on a miss
 * judges and creates; on a hit it asks flow_recheck() (recheck.h) and, as its last touch of the
 * row, flow_update() (flow_state.h), after which the pointer is void.
 */
#ifndef MARGAY_LIB_FLOW_H
#define MARGAY_LIB_FLOW_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"
#include "abi/node.h"
#include "lib/addr_ops.h"
#include "lib/flow_row.h"
#include "lib/flow_side.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/row.h"
#include "lib/swap.h"
#include "lib/tick.h"
#include "lib/trace.h"
#include "maps/flow_e.h"
#include "maps/flow_t.h"

#define FLOW_TRANSLATED (MG_FLOW_SNAT | MG_FLOW_DNAT)
#define FLOW_FRESH ((__s32)TICKS_A_SECOND / 4) /* no row ends sooner after a packet */
#define FLOW_WAYS                                                                                  \
	(MG_FLOW_WAY0_NODE | MG_FLOW_WAY1_NODE | MG_FLOW_WAY_IPIP | MG_FLOW_WAY_VXLAN |            \
	 MG_FLOW_WAY_CROSS)

/* One end of a tuple, for ordering and for making keys of tuples other than the packet's. */
struct flow_end {
	const union mg_addr *addr;
	__be16 port;
};

static __always_inline bool end_above(struct flow_end x, struct flow_end y)
{
	if (x.addr->d[0] != y.addr->d[0])
		return bpf_be64_to_cpu(x.addr->d[0]) > bpf_be64_to_cpu(y.addr->d[0]);
	if (x.addr->d[1] != y.addr->d[1])
		return bpf_be64_to_cpu(x.addr->d[1]) > bpf_be64_to_cpu(y.addr->d[1]);
	return bpf_ntohs(x.port) > bpf_ntohs(y.port);
}

/* Ordered key of a tuple; true: src stands as b. */
static __always_inline bool flow_key_of(struct mg_flow_key *ret_key, struct flow_end src,
					struct flow_end dst, __u8 proto)
{
	bool swapped = end_above(src, dst);

	if (swapped)
		SWAP(src, dst);
	ret_key->a = *src.addr;
	ret_key->b = *dst.addr;
	ret_key->port_a = src.port;
	ret_key->port_b = dst.port;
	ret_key->proto = proto;
	ret_key->space = 0;
	__builtin_memset(ret_key->pad, 0, sizeof(ret_key->pad));
	return swapped;
}

/* The key of the packet as it is now: pkt->key and PKT_SWAPPED. */
static __always_inline void flow_key_near(struct packet *pkt)
{
	struct flow_end src = { &pkt->src, pkt->sport }, dst = { &pkt->dst, pkt->dport };

	pkt->flags &= ~PKT_SWAPPED;
	if (flow_key_of(&pkt->key, src, dst, pkt->proto))
		pkt->flags |= PKT_SWAPPED;
}

__weak __noinline int flow_key(struct packet *pkt)
{
	if (!pkt)
		return -MG_DROP_INTERNAL;
	flow_key_near(pkt);
	return 0;
}

/* Of a translated row: is it of a connection to a service? Its opener's packets change their
 * destination and the answers their source; where source translation is at work it is the other
 * way round. */
static __always_inline bool flow_is_service(const struct mg_flow *flow)
{
	return flow->flags & FLOW_TRANSLATED &&
	       !(flow->flags & MG_FLOW_SNAT) == !(flow->flags & MG_FLOW_REPLY);
}

/* A pod that reaches itself by a service would be its own packet's source and destination. So the
 * ends' addresses change places: the pod sees the service's address as its peer's. */
static __always_inline bool flow_is_hairpin(const struct mg_flow *flow, const union mg_addr *src,
					    const union mg_addr *dst)
{
	return addr_equal(&flow->xlat, flow->flags & MG_FLOW_SNAT ? dst : src);
}

/* The key of the partner of a translated row: the tuple as it leaves. pkt still has the tuple
 * of the row. In pkt->key2; true: the leaving source stands as b. */
static __always_inline bool flow_key_partner(struct packet *pkt, const struct mg_flow *flow)
{
	struct flow_end src = { &pkt->src, pkt->sport }, dst = { &pkt->dst, pkt->dport };
	bool swapped, hairpin = flow_is_hairpin(flow, &pkt->src, &pkt->dst);

	pkt->xlat = flow->xlat;
	if (flow->flags & MG_FLOW_SNAT) {
		if (hairpin)
			dst.addr = &pkt->src;
		src = (struct flow_end){ &pkt->xlat, flow->way[1] };
	} else {
		if (hairpin)
			src.addr = &pkt->dst;
		dst = (struct flow_end){ &pkt->xlat, flow->way[1] };
	}
	if (pkt->flags & PKT_ICMP_QUERY) /* the identifier stands on both ends */
		src.port = dst.port = flow->way[1];
	swapped = flow_key_of(&pkt->key2, src, dst, pkt->proto);
	if (flow->flags & MG_FLOW_HOST && flow->flags & MG_FLOW_REPLY)
		pkt->key2.space = MG_KEY_HOST;
	return swapped;
}

static __always_inline __u32 flow_lifetime(const struct mg_local *local, __u8 proto, __u8 state)
{
	switch (proto) {
	case IPPROTO_TCP:
		if (state & MG_TCP_RST)
			return local->timeout[MG_TMO_TCP_RST];
		if ((state & MG_TCP_FIN0) && (state & MG_TCP_FIN1))
			return local->timeout[MG_TMO_TCP_FIN];
		if (state & MG_TCP_ESTABLISHED)
			return local->timeout[MG_TMO_TCP_ESTABLISHED];
		return local->timeout[MG_TMO_TCP_SYN];
	case IPPROTO_UDP:
		return local->timeout[MG_TMO_UDP];
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return local->timeout[MG_TMO_ICMP];
	}
	return local->timeout[MG_TMO_GENERIC];
}

/* Where the last packet was longer ago than any lifetime could be short. */
__weak __noinline int flow_outlived(struct packet *pkt, struct mg_flow *flow)
{
	const struct mg_local *local = local_row();

	if (!pkt || !flow || !local)
		return 0;
	return (__s32)(pkt->tick - flow->seen) >
	       (__s32)flow_lifetime(local, pkt->proto, flow->state);
}

/* A tick may be one that another CPU wrote after this packet began. */
static __always_inline bool flow_expired(struct packet *pkt, struct mg_flow *flow)
{
	return (__s32)(pkt->tick - flow->seen) > FLOW_FRESH && flow_outlived(pkt, flow);
}

/* Moves a row's counts to the rules that allowed it. */
static __always_inline void flow_fold(struct mg_flow *flow)
{
	__u64 packets = flow->packets, bytes = flow->bytes;

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
}

/* Deletes the row of pkt->key, and its partner. The pointer is void after it. */
__weak __noinline int flow_end(struct packet *pkt, struct mg_flow *flow)
{
	bool pair;

	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return -MG_DROP_INTERNAL;
	pair = flow->flags & FLOW_TRANSLATED;
	if (pair)
		flow_key_partner(pkt, flow);
	flow_fold(flow);
	bpf_map_delete_elem(&mg_flow_e, &pkt->key);
	bpf_map_delete_elem(&mg_flow_t, &pkt->key);
	if (pair) {
		bpf_map_delete_elem(&mg_flow_e, &pkt->key2);
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	}
	return 0;
}

__weak __noinline int flow_has_partner(struct packet *pkt, struct mg_flow *flow)
{
	pkt = packet_row(pkt);
	if (!pkt || !flow)
		return 0;
	flow_key_partner(pkt, flow);
	return bpf_map_lookup_elem(&mg_flow_t, &pkt->key2) ||
	       bpf_map_lookup_elem(&mg_flow_e, &pkt->key2);
}

/* Is the partner of a translated transient row still there? The LRU may have taken it. */
static __always_inline bool flow_whole(struct packet *pkt, struct mg_flow *flow)
{
	return !(flow->flags & FLOW_TRANSLATED) || (pkt->flags & PKT_ESTABLISHED) ||
	       flow_has_partner(pkt, flow);
}

/* Direction of a row's counters, FIN bits and ways that this packet goes: 0 or 1. */
static __always_inline __u32 flow_direction(const struct packet *pkt, const struct mg_flow *flow)
{
	if (flow->flags & FLOW_TRANSLATED)
		return !!(flow->flags & MG_FLOW_REPLY);
	return !!(pkt->flags & PKT_SWAPPED);
}

static __always_inline void flow_orient(struct packet *pkt, const struct mg_flow *flow)
{
	bool from_b = flow->flags & MG_FLOW_FROM_B, swapped = pkt->flags & PKT_SWAPPED;

	if (flow->flags & FLOW_TRANSLATED ? flow->flags & MG_FLOW_REPLY : from_b != swapped)
		pkt->flags |= PKT_REVERSED;
}

static __always_inline bool is_opening(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline bool flow_closed(const struct mg_flow *flow)
{
	return (flow->state & MG_TCP_RST) ||
	       ((flow->state & MG_TCP_FIN0) && (flow->state & MG_TCP_FIN1));
}

/* The live row of pkt->key, or NULL; PKT_ESTABLISHED, PKT_REVERSED. A row that is dead, cut in
 * half, or closed and then hit by a SYN, ends here. A SYN against the opener's direction is a
 * miss as well, for nobody has judged that direction (PKT_FLOW_ANEW): the row stays until the
 * new connection is allowed. */
static __always_inline struct mg_flow *flow_find(struct packet *pkt)
{
	struct mg_flow *flow = flow_row(pkt);

	if (!flow)
		goto miss;
	if ((flow->flags & FLOW_TRANSLATED) &&
	    !(flow->flags & MG_FLOW_FROM_B) != !(pkt->flags & PKT_SWAPPED)) {
		pkt->flags |= PKT_KEY_TAKEN;
		goto miss;
	}
	flow_orient(pkt, flow);
	if (flow_expired(pkt, flow) || !flow_whole(pkt, flow) ||
	    (is_opening(pkt) && flow_closed(flow))) {
		flow_end(pkt, flow);
		goto miss;
	}
	if (is_opening(pkt) && (pkt->flags & PKT_REVERSED)) {
		pkt->flags |= PKT_FLOW_ANEW;
		goto miss;
	}
	trace_step(MG_STEP_FLOW, pkt->flags & PKT_ESTABLISHED ? 2 : 1, flow->flags, 0);
	return flow;
miss:
	pkt->flags &= ~(PKT_ESTABLISHED | PKT_REVERSED);
	trace_step(MG_STEP_FLOW, 0, 0, 0);
	return NULL;
}

#endif
