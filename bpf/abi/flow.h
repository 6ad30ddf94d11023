/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow rows: mg_flow_t (transient, LRU) and mg_flow_e (established, hash) share key and value.
 *
 * The key is ordered so that (address, port) of a is below that of b by memcmp: packets of both
 * directions find a row with one lookup. An untranslated connection has one row for both
 * directions. A translated one has two, each for the packets of one direction as they arrive on
 * the wire; MG_FLOW_FROM_B says which (a packet the other way is not of this row), and the tuple
 * of its partner is the translated one turned around. ICMP echo uses the identifier as port on
 * both ends; other ICMP queries use theirs; protocols without ports use 0.
 */
#ifndef MARGAY_ABI_FLOW_H
#define MARGAY_ABI_FLOW_H

#include "abi/addr.h"
#include "abi/policy.h"

struct mg_flow_key {
	union mg_addr a;
	union mg_addr b;
	__be16 port_a;
	__be16 port_b;
	__u8 proto; /* IPPROTO_* */
	__u8 space; /* MG_KEY_HOST, or 0 */
	__u8 pad[2];
};

/* A socket of this node opened the connection, on a tuple that is another one's: only the
 * opener's row of the pair stands in this space. */
#define MG_KEY_HOST 1

/* mg_flow.flags */
#define MG_FLOW_FROM_B                                                                             \
	(1U << 0) /* untranslated: b opened the connection; translated: its packets are from b */
#define MG_FLOW_VIA_STACK                                                                          \
	(1U << 1) /* the first packet came through the host's stack: answers go there */
#define MG_FLOW_SNAT (1U << 2)	      /* translated: the source becomes xlat:xport */
#define MG_FLOW_DNAT (1U << 3)	      /* translated: the destination becomes xlat:xport */
#define MG_FLOW_REPLY (1U << 4)	      /* translated: the row of the answers */
#define MG_FLOW_JUDGED_OUT (1U << 5)  /* this node judged the sender's side */
#define MG_FLOW_JUDGED_IN (1U << 6)   /* this node judged the receiver's side */
#define MG_FLOW_JUDGED_HOST (1U << 7) /* host stages judged, if any: sides are places */
#define MG_FLOW_BOTH_SEEN (1U << 8)   /* packets went both ways; since: flow.both */
#define MG_FLOW_WAY0_NODE (1U << 9)   /* way[0] is a node number (0: outside), not a slot */
#define MG_FLOW_WAY1_NODE (1U << 10)
#define MG_FLOW_FROM_TUNNEL (1U << 11) /* the opener came in a tunnel: answers return in it */

#define MG_FLOW_WAY_IPIP (1U << 12) /* of the way that is another node: its pool's mode */
#define MG_FLOW_WAY_VXLAN (1U << 13)
#define MG_FLOW_WAY_CROSS (1U << 14)
#define MG_FLOW_HOST (1U << 15) /* translated: of a socket of this node, see MG_KEY_HOST */

/* mg_side.place.at of a side that no pod's policy judged, with MG_FLOW_JUDGED_HOST: where the flow
 * comes to this node (sender's side) or leaves it (receiver's): the ifindex of an uplink, or one of
 * these; 0: an interface that is none of ours. */
#define MG_SIDE_TUNNEL (1U << 30) /* in a tunnel, by whatever uplink */
#define MG_SIDE_OWN (1U << 31)	  /* a socket of this node is that end */

union mg_side {
	struct mg_judged judged; /* by a pod's policy: MG_FLOW_JUDGED_OUT, _IN */
	struct {
		__u32 rule; /* of the host endpoint there */
		__u32 at;   /* MG_SIDE_* */
	} place;
};

/* mg_flow.state: TCP. Direction 0 goes from a to b; of a translated pair it is the opener's. */
#define MG_TCP_SYN (1U << 0)
#define MG_TCP_SYNACK (1U << 1)
#define MG_TCP_ESTABLISHED (1U << 2)
#define MG_TCP_FIN0 (1U << 3)
#define MG_TCP_FIN1 (1U << 4)
#define MG_TCP_RST (1U << 5)
#define MG_TCP_MIDSTREAM (1U << 6) /* picked up after flows_new, or one-way */

/* Packets (of a bundle, GSO or GRO, its segments) and bytes of one direction. */
struct mg_flow_count {
	__u64 bytes;
	__u32 packets;
	__u32 pad;
};

struct mg_flow {
	__u64 bytes; /* direction 0 (a to b); of a translated row its only one */
	__u32 packets;
	__u32 seen;	       /* tick (2^20 ns) of the last packet */
	__u32 change;	       /* mg_control.change at the last check */
	__u32 epoch;	       /* sum of both ends' epochs and host_epoch when it was judged */
	union mg_side side[2]; /* sender's, receiver's */
	__u16 flags;	       /* MG_FLOW_* */
	__u8 state;	       /* MG_TCP_* */
	__u8 both;	       /* half seconds, modulo 256, when packets had gone both ways */
	__u16 way[2];	       /* where direction 0 / 1 goes: slot or node number; 0: look it up.
				* Of a translated row way[1] is the new port (network order). */
	union {
		struct mg_flow_count back; /* direction 1 of an untranslated row */
		union mg_addr xlat;	   /* of a translated row */
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
_Static_assert(sizeof(union mg_side) == 8, "mg_side");
_Static_assert(sizeof(struct mg_flow) == 64, "mg_flow");
_Static_assert(sizeof(struct mg_frag_key) == 40, "mg_frag_key");
_Static_assert(sizeof(struct mg_frag) == 8, "mg_frag");

#endif
