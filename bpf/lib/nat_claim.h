/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A claim on the tuple (pkt->xlat, pkt->xport) for a translated connection: no socket of this
 * node has it, and the row of the answers could be inserted.
 */
#ifndef MARGAY_LIB_NAT_CLAIM_H
#define MARGAY_LIB_NAT_CLAIM_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "lib/flow_state.h"
#include "lib/node.h"
#include "lib/packet.h"

/* Has a socket of this node the tuple on which answers would come? Verified once. */
__weak __noinline int nat_socket(struct __sk_buff *skb, struct packet *pkt)
{
	struct bpf_sock_tuple tuple = {};
	__u32 size = sizeof(tuple.ipv6);
	struct bpf_sock *sock;

	if (!pkt || (pkt->proto != IPPROTO_TCP && pkt->proto != IPPROTO_UDP))
		return 0;
	if (pkt->family == 4) {
		size = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = pkt->dst.w[3];
		tuple.ipv4.daddr = pkt->xlat.w[3];
		tuple.ipv4.sport = pkt->dport;
		tuple.ipv4.dport = pkt->xport;
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &pkt->dst, sizeof(pkt->dst));
		__builtin_memcpy(tuple.ipv6.daddr, &pkt->xlat, sizeof(pkt->xlat));
		tuple.ipv6.sport = pkt->dport;
		tuple.ipv6.dport = pkt->xport;
	}
	if (pkt->proto == IPPROTO_TCP)
		sock = bpf_skc_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	else
		sock = bpf_sk_lookup_udp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return 0;
	bpf_sk_release(sock);
	return 1;
}

/* The tuple on which answers come: pkt->key2; true: its source stands as b. */
static __always_inline bool nat_reply_key(struct packet *pkt)
{
	struct flow_end src = { &pkt->dst, pkt->dport }, dst = { &pkt->xlat, pkt->xport };

	if (pkt->flags & PKT_ICMP_QUERY)
		src.port = pkt->xport;
	return flow_key_of(&pkt->key2, src, dst, pkt->proto);
}

/* An old claim on a tuple that cannot be chosen differently: is it over? Its opener's row has the
 * time of what that one sent last. */
static __always_inline bool nat_stale(struct packet *pkt)
{
	struct mg_flow_key *key = (void *)pkt->bytes;
	struct flow_end src, dst = { &pkt->dst, pkt->dport };
	struct mg_flow *row, *partner;
	union mg_addr owner;

	row = bpf_map_lookup_elem(&mg_flow_e, &pkt->key2);
	if (!row)
		row = bpf_map_lookup_elem(&mg_flow_t, &pkt->key2);
	if (!row || !(row->flags & MG_FLOW_DNAT) || !flow_expired(pkt, row))
		return false;
	owner = row->xlat;
	src.addr = &owner;
	src.port = row->way[1];
	if (pkt->flags & PKT_ICMP_QUERY)
		dst.port = row->way[1];
	flow_key_of(key, src, dst, pkt->proto);
	partner = bpf_map_lookup_elem(&mg_flow_e, key);
	if (!partner)
		partner = bpf_map_lookup_elem(&mg_flow_t, key);
	return !partner || flow_expired(pkt, partner);
}

/* Claims the tuple of the answers for pkt->row, which is theirs but for its direction. fixed:
 * there is no other to try. Verified once. */
__weak __noinline int nat_claim(struct packet *pkt, __u32 fixed)
{
	pkt = packet_row(pkt);
	if (!pkt)
		return 0;
	pkt->row.flags &= ~MG_FLOW_FROM_B;
	if (nat_reply_key(pkt))
		pkt->row.flags |= MG_FLOW_FROM_B;
	if (fixed && nat_stale(pkt)) {
		bpf_map_delete_elem(&mg_flow_e, &pkt->key2);
		bpf_map_delete_elem(&mg_flow_t, &pkt->key2);
	}
	return flow_claim(pkt);
}

#endif
