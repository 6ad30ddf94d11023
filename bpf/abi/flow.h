/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow rows: mg_flow_t (transient, LRU) and mg_flow_e (established, hash) share key and value.
 *
 * An untranslated connection has one row; its key is ordered so that (address, port) of a
 * is below that of b by memcmp. A translated one has two rows, each keyed by the tuple as it
 * arrives on the wire (a = source, b = destination, MG_FLOW_KEY_WIRE set), each for one
 * direction of packets. ICMP echo uses the identifier as port on both ends; other ICMP queries
 * and protocols without ports use 0.
 */
#ifndef MARGAY_ABI_FLOW_H
#define MARGAY_ABI_FLOW_H

#include "abi/addr.h"

#define MG_FLOW_KEY_WIRE (1U << 0)

struct mg_flow_key {
	union mg_addr a;
	union mg_addr b;
	__be16 port_a;
	__be16 port_b;
	__u8 proto; /* IPPROTO_* */
	__u8 flags; /* MG_FLOW_KEY_* */
	__u8 pad[2];
};

/* mg_flow.flags */
#define MG_FLOW_FROM_B (1U << 0) /* untranslated: b opened the connection */
#define MG_FLOW_VIA_STACK                                                                          \
	(1U << 1) /* the first packet came through the host's stack: answers go there */
#define MG_FLOW_SNAT (1U << 2)	      /* wire row: the source becomes xlat:xport */
#define MG_FLOW_DNAT (1U << 3)	      /* wire row: the destination becomes xlat:xport */
#define MG_FLOW_REPLY (1U << 4)	      /* wire row: of the answers */
#define MG_FLOW_JUDGED_OUT (1U << 5)  /* this node judged the sender's side */
#define MG_FLOW_JUDGED_IN (1U << 6)   /* this node judged the receiver's side */
#define MG_FLOW_JUDGED_HOST (1U << 7) /* a host stage judged: the sum has host_epoch in it */
#define MG_FLOW_BOTH_SEEN (1U << 8)   /* packets went both ways; since: flow.both */
#define MG_FLOW_WAY0_NODE (1U << 9)   /* way[0] is a node number, not a slot */
#define MG_FLOW_WAY1_NODE (1U << 10)
#define MG_FLOW_FROM_TUNNEL (1U << 11) /* the opener came in a tunnel: answers return in it */

/* mg_flow.state: TCP, both directions (0: towards b / opener's, 1: back) */
#define MG_TCP_SYN (1U << 0)
#define MG_TCP_SYNACK (1U << 1)
#define MG_TCP_ESTABLISHED (1U << 2)
#define MG_TCP_FIN0 (1U << 3)
#define MG_TCP_FIN1 (1U << 4)
#define MG_TCP_RST (1U << 5)
#define MG_TCP_MIDSTREAM (1U << 6) /* picked up after flows_new, or one-way */

/* Packets and bytes of one direction. */
struct mg_flow_count {
	__u64 bytes;
	__u32 packets;
	__u32 pad;
};

struct mg_flow {
	__u64 bytes; /* direction 0 (a to b); of a wire row its only one */
	__u32 packets;
	__u32 seen;    /* tick (2^20 ns) of the last packet */
	__u32 change;  /* mg_control.change at the last check */
	__u32 epoch;   /* sum of both ends' epochs (and host_epoch) when it was judged */
	__u32 set[2];  /* sets that judged it: as sender, as receiver; 0: not here */
	__u32 rule[2]; /* deciding rules of the two sides */
	__u16 flags;   /* MG_FLOW_* */
	__u8 state;    /* MG_TCP_* */
	__u8 both;     /* half seconds, modulo 256, when packets had gone both ways */
	__u16 way[2];  /* where direction 0 / 1 goes: slot or node number; 0: look it up.
			* Of a wire row way[1] is the translated port (network order). */
	union {
		struct mg_flow_count back; /* direction 1 of an untranslated row */
		union mg_addr xlat;	   /* of a wire row */
	};
};

/* Fragments follow the ports of their first one. */
struct mg_frag_key {
	union mg_addr src;
	union mg_addr dst;
	__be32 id;
	__u8 proto;
	__u8 pad[3];
};

struct mg_frag {
	__be16 sport;
	__be16 dport;
	__u32 seen; /* tick */
};

_Static_assert(sizeof(struct mg_flow_key) == 40, "mg_flow_key");
_Static_assert(sizeof(struct mg_flow) == 64, "mg_flow");
_Static_assert(sizeof(struct mg_frag_key) == 40, "mg_frag_key");
_Static_assert(sizeof(struct mg_frag) == 8, "mg_frag");

#endif
