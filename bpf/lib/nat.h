/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Source translation of pods' connections to the world (natOutgoing), without netfilter. A
 * connection has two rows (abi/flow.h); the one of the answers is also the claim on the port: who
 * inserts it first has the tuple. Sockets of this node are asked before.
 *
 * TCP, UDP and ICMP queries get a port (identifier) from mg_local.nat. SCTP keeps its port, since
 * its checksum would have to change with it; protocols without ports keep their single tuple.
 */
#ifndef MARGAY_LIB_NAT_H
#define MARGAY_LIB_NAT_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/flow_state.h"
#include "lib/hash.h"
#include "lib/nat_claim.h"
#include "lib/node.h"
#include "lib/packet.h"
#include "lib/trace.h"

#define NAT_TRIES 16
#define NAT_STRIDES 61

/* One search for a free port; the callback's memory. */
struct nat_search {
	struct __sk_buff *skb;
	struct packet *pkt;
	const struct mg_local *local;
	__u32 at; /* among all ports of all ranges */
	__u32 stride;
	bool found;
};

/* Does the pool's natOutgoing apply? from and to must be complete. */
static __always_inline bool nat_wanted(const struct packet *pkt, const struct mg_local *local)
{
	if (!(pkt->from.flags & MG_ADDR_NAT_OUT) || pkt->to.flags & MG_ADDR_ANY_POOL)
		return false;
	return !(pkt->to.flags & MG_ADDR_HOST && local->flags & MG_LOCAL_NAT_SKIP_HOSTS);
}

/* natOutgoingAddress, else the address of the way out. */
static __always_inline bool nat_source(struct packet *pkt, const struct mg_local *local)
{
	const struct mg_uplink *uplink = uplink_row(pkt->out_ifindex);

	pkt->xlat = pkt->family == 4 ? local->nat4 : local->nat6;
	if (addr_is_zero(&pkt->xlat) && uplink)
		pkt->xlat = pkt->family == 4 ? uplink->ip4 : uplink->ip6;
	return !addr_is_zero(&pkt->xlat);
}

/* Is it a port that translation may give away? */
static __always_inline bool nat_in_ranges(const struct mg_local *local, __be16 number)
{
	__u32 port = bpf_ntohs(number);

	for (int i = 0; i < MG_NAT_RANGES; i++)
		if (port >= local->nat[i].first && port <= local->nat[i].last)
			return true;
	return false;
}

/* Port number `at` of all ranges laid end to end. */
static __always_inline __be16 nat_port(const struct mg_local *local, __u32 at)
{
	for (int i = 0; i < MG_NAT_RANGES; i++) {
		__u32 first = local->nat[i].first, last = local->nat[i].last;

		if (!last)
			break;
		if (at <= last - first)
			return bpf_htons(first + at);
		at -= last - first + 1;
	}
	return 0;
}

/* Callback of bpf_loop(): 1 ends it. */
static long nat_try(__u32 index, struct nat_search *search)
{
	struct packet *pkt = search->pkt;

	(void)index;
	pkt->xport = nat_port(search->local, search->at);
	search->at += search->stride;
	if (search->at >= search->local->nat_total)
		search->at -= search->local->nat_total;
	if (!pkt->xport || nat_socket(search->skb, pkt))
		return 0;
	search->found = nat_claim(pkt, false);
	return search->found;
}

/* Another row stands at the opener's tuple: of a packet on another CPU that was first, and then
 * its translation is used; or the untranslated one of from_pod for a flow through the stack. */
static __always_inline int nat_forward_taken(struct packet *pkt)
{
	struct mg_flow *other = bpf_map_lookup_elem(&mg_flow_e, &pkt->key);

	if (!other)
		other = bpf_map_lookup_elem(&mg_flow_t, &pkt->key);
	if (other && other->flags & MG_FLOW_SNAT) {
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
		pkt->xlat = other->xlat;
		pkt->xport = other->way[1];
		return 0;
	}
	if (other && !(other->flags & FLOW_TRANSLATED) &&
	    !bpf_map_update_elem(&mg_flow_t, &pkt->key, &pkt->row, BPF_ANY)) {
		bpf_map_delete_elem(&mg_flow_e, &pkt->key);
		return 0;
	}
	bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	return -MG_DROP_FLOW_FULL;
}

/* The row of the opener's packets. */
static __always_inline int nat_forward_row(struct packet *pkt)
{
	bool swapped = pkt->flags & PKT_SWAPPED;

	flow_fill(pkt, MG_FLOW_SNAT | MG_FLOW_WAY0_NODE | (swapped ? MG_FLOW_FROM_B : 0));
	flow_count(pkt, &pkt->row, 0);
	pkt->row.way[1] = pkt->xport;
	pkt->row.xlat = pkt->xlat;
	if (bpf_map_update_elem(&mg_flow_t, &pkt->key, &pkt->row, BPF_NOEXIST))
		return nat_forward_taken(pkt);
	return bpf_map_lookup_elem(&mg_flow_e, &pkt->key) ? nat_forward_taken(pkt) : 0;
}

static __always_inline bool nat_fixed(const struct packet *pkt)
{
	return pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP &&
	       !(pkt->flags & PKT_ICMP_QUERY);
}

static __always_inline bool nat_supported(__u8 proto)
{
	/* their checksums or signatures cover addresses in ways we do not follow */
	return proto != IPPROTO_DCCP && proto != IPPROTO_UDPLITE && proto != IPPROTO_AH;
}

static __always_inline bool nat_find(struct __sk_buff *skb, struct packet *pkt,
				     const struct mg_local *local)
{
	struct nat_search search = { .skb = skb, .pkt = pkt, .local = local, .stride = 1 };
	__u32 hash = flow_hash(pkt), total = local->nat_total;

	pkt->xport = pkt->sport;
	if (nat_fixed(pkt))
		return nat_claim(pkt, true);
	if (!total)
		return false;
	search.at = hash % total;
	/* as many different ports as there are tries, whatever the stride divides */
	if (total >= NAT_STRIDES * NAT_TRIES)
		search.stride = 1 + (hash >> 16) % NAT_STRIDES;
	bpf_loop(NAT_TRIES, nat_try, &search, 0);
	return search.found;
}

/* Both rows, with a port that nobody has; pkt->xlat is set. Verified once. */
__weak __noinline int nat_rows(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();

	pkt = packet_row(pkt);
	if (!pkt || !local)
		return -MG_DROP_INTERNAL;
	flow_fill(pkt, MG_FLOW_DNAT | MG_FLOW_REPLY);
	pkt->row.way[0] = pkt->src_slot;
	pkt->row.way[1] = pkt->sport;
	pkt->row.xlat = pkt->src;
	return nat_find(skb, pkt, local) ? nat_forward_row(pkt) : -MG_DROP_NAT_EXHAUSTED;
}

/*
 * Step for a new flow that has been judged, after route_world() (pkt->out_ifindex): 0 without
 * PKT_REWRITE_SRC where no translation is wanted, and then the flow's row is the caller's; with
 * it, both rows are there and rewrite() has its orders. from, to and the stamp must be complete.
 */
static __always_inline int nat_out(struct __sk_buff *skb, struct packet *pkt)
{
	const struct mg_local *local = local_row();
	int r;

	if (!local)
		return -MG_DROP_INTERNAL;
	if (!nat_wanted(pkt, local))
		return 0;
	if (!nat_supported(pkt->proto))
		return -MG_DROP_NAT_UNSUPPORTED;
	if (!nat_source(pkt, local))
		return -MG_DROP_NO_ROUTE;
	if (pkt->flags & PKT_FLOW_ANEW) {
		union mg_addr source = pkt->xlat;

		flow_end_old(pkt);
		pkt->xlat = source;
	}
	r = nat_rows(skb, pkt);
	if (r)
		return r;
	pkt->flags |= PKT_REWRITE_SRC | PKT_NEW_FLOW;
	trace_step(MG_STEP_NAT, bpf_ntohs(pkt->xport), bpf_ntohl(pkt->xlat.w[3]), 0);
	return 0;
}

#endif
