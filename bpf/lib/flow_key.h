/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys of flow rows (abi/flow.h): of a packet as it is, and of the partner of a translated row.
 */
#ifndef MARGAY_LIB_FLOW_KEY_H
#define MARGAY_LIB_FLOW_KEY_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"
#include "lib/addr_ops.h"
#include "lib/packet.h"
#include "lib/swap.h"

#define FLOW_TRANSLATED (MG_FLOW_SNAT | MG_FLOW_DNAT)
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

static __always_inline void flow_key_fill(struct mg_flow_key *ret_key, struct flow_end a,
					  struct flow_end b, __u8 proto)
{
	ret_key->a = *a.addr;
	ret_key->b = *b.addr;
	ret_key->port_a = a.port;
	ret_key->port_b = b.port;
	ret_key->proto = proto;
	ret_key->space = 0;
	__builtin_memset(ret_key->pad, 0, sizeof(ret_key->pad));
}

/* Ordered key of a tuple; true: src stands as b. Either order is written down by itself, for the
 * verifier would follow ends that are chosen by pointer through all that comes after. */
static __always_inline bool flow_key_of(struct mg_flow_key *ret_key, struct flow_end src,
					struct flow_end dst, __u8 proto)
{
	if (end_above(src, dst)) {
		flow_key_fill(ret_key, dst, src, proto);
		packet_forget();
		return true;
	}
	flow_key_fill(ret_key, src, dst, proto);
	packet_forget();
	return false;
}

/* The key of the packet as it is now: pkt->key and PKT_SWAPPED. */
static __always_inline void flow_key_near(struct packet *pkt)
{
	struct flow_end src = { &pkt->src, pkt->sport }, dst = { &pkt->dst, pkt->dport };

	pkt->flags &= ~PKT_SWAPPED;
	if (flow_key_of(&pkt->key, src, dst, pkt->proto))
		pkt->flags |= PKT_SWAPPED;
	packet_forget();
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

/* The source of a tuple stands as a, whatever its order: puts it in order; true: it is b then. */
static __always_inline bool flow_key_order(struct mg_flow_key *key)
{
	struct flow_end a = { &key->a, key->port_a }, b = { &key->b, key->port_b };

	if (!end_above(a, b))
		return false;
	SWAP(key->a, key->b);
	SWAP(key->port_a, key->port_b);
	return true;
}

/* The key of the partner of a translated row: the tuple as it leaves. pkt still has the tuple
 * of the row. In pkt->key2; 1: the leaving source stands as b. Verified once. */
__weak __noinline int flow_key_partner(struct packet *pkt, struct mg_flow *flow)
{
	struct mg_flow_key *key;
	bool hairpin;

	if (!pkt || !flow)
		return 0;
	key = &pkt->key2;
	hairpin = flow_is_hairpin(flow, &pkt->src, &pkt->dst);
	pkt->xlat = flow->xlat;
	key->proto = pkt->proto;
	key->space = flow->flags & MG_FLOW_HOST && flow->flags & MG_FLOW_REPLY ? MG_KEY_HOST : 0;
	__builtin_memset(key->pad, 0, sizeof(key->pad));
	key->a = pkt->src;
	key->b = pkt->dst;
	key->port_a = pkt->sport;
	key->port_b = pkt->dport;
	if (flow->flags & MG_FLOW_SNAT) {
		if (hairpin)
			key->b = pkt->src;
		key->a = flow->xlat;
		key->port_a = flow->way[1];
	} else {
		if (hairpin)
			key->a = pkt->dst;
		key->b = flow->xlat;
		key->port_b = flow->way[1];
	}
	if (pkt->flags & PKT_ICMP_QUERY) /* the identifier stands on both ends */
		key->port_a = key->port_b = flow->way[1];
	packet_forget();
	return flow_key_order(key);
}

#endif
