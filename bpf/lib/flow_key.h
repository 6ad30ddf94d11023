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

#endif
