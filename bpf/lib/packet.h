/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One packet on its way: what the entry point knows, what parse found, what the steps decided.
 * Offsets and decoded scalars only, never packet pointers: a step that reads this and maps can
 * serve TC and XDP alike, and only parse, rewrite, encap and icmp touch bytes.
 *
 * A step is `static __always_inline int step(struct packet *)` (byte-touching ones take the
 * context first) and returns
 *   < 0  -MG_DROP_x: drop for this reason
 *     0  go on
 *   > 0  a final verdict, enum mg_final
 * Only finish_skb() (finish.h) turns that into the kernel's code, counts it and tells of it.
 */
#ifndef MARGAY_LIB_PACKET_H
#define MARGAY_LIB_PACKET_H

#include <bpf/bpf_helpers.h>

#include "abi/addr.h"
#include "abi/event.h"
#include "abi/flow.h"
#include "abi/ident.h"
#include "abi/reason.h"

enum mg_final {
	MG_FINAL_PEER = 1, /* to the pod's side of a local veth: out_ifindex */
	MG_FINAL_DEVICE,   /* to the host's side, so that its qdisc counts: out_ifindex */
	MG_FINAL_NEIGH,	   /* out of out_ifindex to next_hop (zero: the destination itself) */
	MG_FINAL_STACK,	   /* to the host's stack, as if we were not there */
	MG_FINAL_REPLY,	   /* turned into an answer: back to where it came from */
	MG_FINAL_NEXT,	   /* TC_ACT_UNSPEC: other programs on the device have a say */
	MG_FINAL_CONSUMED, /* answered elsewhere; frees the packet without counting a drop */
};

/* packet.flags, by parse */
#define PKT_FRAGMENT (1U << 0)	     /* a fragment, the first one or a later one */
#define PKT_LATER_FRAGMENT (1U << 1) /* without a transport header of its own */
#define PKT_ICMP_ERROR (1U << 2)     /* inner_* describe the packet it speaks of */
#define PKT_ICMP_QUERY (1U << 3)     /* echo request or answer: sport == dport == identifier */
#define PKT_NO_L2 (1U << 4)	     /* the device has no Ethernet header */
#define PKT_DF (1U << 5)	     /* IPv4 don't-fragment, or IPv6 */
#define PKT_WALK (1U << 6)	     /* options or extension headers */
/* by other steps */
#define PKT_FROM_TUNNEL (1U << 8)  /* taken out of a tunnel on this node */
#define PKT_FROM_HOST (1U << 9)	   /* sent by a socket of this node */
#define PKT_SWAPPED (1U << 10)	   /* the flow key has destination as a: direction 1 */
#define PKT_ESTABLISHED (1U << 11) /* the flow row found is in mg_flow_e */
#define PKT_NEW_FLOW (1U << 12)
#define PKT_REWRITE_SRC (1U << 13) /* source becomes xlat:xport */
#define PKT_REWRITE_DST (1U << 14)
#define PKT_KEY_TAKEN (1U << 15) /* the key belongs to a translated row of the other direction */
#define PKT_REVERSED (1U << 16)	 /* goes against the connection's opener */
#define PKT_MULTICAST (1U << 17) /* destination is multicast or the broadcast address */
#define PKT_FLOW_ANEW (1U << 18) /* a SYN against the opener of the row that is there */
#define PKT_MIDSTREAM (1U << 19) /* an unknown TCP connection, taken up in the middle */
#define PKT_OUTER6 (1U << 20)	 /* leaves in IPv6: the tunnel's outer packet, or itself */
#define PKT_HAIRPIN (1U << 21)	 /* rewrite: the ends' addresses change places */
#define PKT_CARRIED (1U << 22)	 /* a client's from outside, in the tunnel of the node it asked */

/* packet.tcp_flags, as in the header's 14th byte */
#define TCP_FIN (1U << 0)
#define TCP_SYN (1U << 1)
#define TCP_RST (1U << 2)
#define TCP_ACK (1U << 4)

/* Beside MG_ADDR_* in from.flags and to.flags: the address has an exact row. */
#define PKT_ADDR_EXACT (1U << 15)

/* Sides of a judgement: indexes of packet.set, verdict and rule; bits for judge(). */
#define PKT_OUT 0
#define PKT_IN 1
#define PKT_JUDGE_OUT (1U << PKT_OUT)
#define PKT_JUDGE_IN (1U << PKT_IN)

/* packet.encap: how it leaves */
enum mg_encap { MG_ENCAP_NONE, MG_ENCAP_IPIP, MG_ENCAP_VXLAN };

#define PKT_LOG_PLACES 64

struct packet {
	/* entry */
	__u32 ifindex;
	__u32 length;
	__u32 tick;  /* 2^20 ns, monotonic */
	__u32 flags; /* PKT_* */
	/* parse */
	union mg_addr src;
	union mg_addr dst;
	__be16 sport; /* ICMP query: identifier; ICMP otherwise: 0 */
	__be16 dport;
	__u16 l3_offset; /* of the network header from skb->data */
	__u16 l4_offset; /* of the transport header; 0: none */
	__u16 l3_length; /* total length by the network header */
	__u8 hook;	 /* enum mg_hook */
	__u8 family;	 /* 4 or 6 */
	__u8 proto;	 /* IPPROTO_* after IPv6 extension headers */
	__u8 ttl;
	__u8 tos; /* DSCP and ECN */
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 encap;	/* enum mg_encap */
	__u8 tcp_state; /* for a new row */
	__be32 frag_id;
	__u16 walk;	/* parse's own */
	__u16 segments; /* what it is on a wire: 1, or more of a bundle (GSO) */
	/* the tunnel's headers that still stand before l3_offset; what else is here is of the inner
	 * packet */
	__u16 outer_length; /* 0: none */
	__u8 outer_family;
	__u8 outer_kind; /* protocol number: 4, 41, or 17 (VXLAN) */
	/* who */
	struct mg_ident from; /* what is known of src */
	struct mg_ident to;   /* of dst */
	__u16 src_slot;	      /* local endpoint that sent it; 0: none */
	__u16 dst_slot;	      /* local endpoint that gets it; 0: none */
	__u32 ep_flags;	      /* MG_EP_* of the endpoint this hook belongs to */
	__u32 host;	      /* slot of the host endpoint that judges at this device; 0: none */
	__u32 side[2];	      /* where the flow comes in and leaves: ifindex or MG_SIDE_* */
	/* flow and verdict */
	struct mg_flow_key key;
	struct mg_judged judged[2];   /* sender's side, receiver's */
	__u32 verdict[2];	      /* numbers into mg_verdicts */
	__u32 log_rule[MG_LOG_RULES]; /* Log rules passed, by log.h */
	__u32 logs;
	__u32 change;	  /* mg_control.change at entry */
	__u32 column;	  /* of the commit in force, for a new flow's judgement */
	__u32 epoch;	  /* sum of both ends' */
	__u16 flow_flags; /* for a new row */
	__be16 xport;
	union mg_addr xlat;
	/* the inner packet of an ICMP error, as it stood on the wire */
	union mg_addr inner_src;
	union mg_addr inner_dst;
	__be16 inner_sport;
	__be16 inner_dport;
	__u8 inner_proto;
	__u8 inner_pad[3];
	/* way out */
	__u32 out_ifindex;
	__u32 out_mtu;
	__u32 out_node;
	__u32 in_node; /* whose tunnel it came in; 0: none */
	union mg_addr next_hop;
	/* memory for rows on their way into maps */
	struct mg_flow_key key2;
	struct mg_flow row;
	__u8 bytes[96];
	/* kept from packet to packet: when tick was read; this CPU's allowance of drop events, of
	 * records of each Log rule and of ICMP answers */
	__u64 jiffies;
	__u64 transient; /* where the last rows of keys by place lay (flow.h): 1: in mg_flow_t */
	/* what the last packets' device and tunnel were (uplink.h, decap.h): good for the same
	 * tick, and while nothing has changed */
	union mg_addr far_addr;
	__u32 far_node; /* 0: nothing is kept */
	__u32 link_ifindex;
	__u32 link_flags; /* MG_UPLINK_* */
	__u32 link_host;  /* mg_uplink.host */
	__u32 kept_tick;
	__u32 kept_change;
	__u32 log_window;
	__u8 log_told[PKT_LOG_PLACES]; /* records in it, by rule number % PKT_LOG_PLACES */
	__u32 event_window;
	__u32 event_count;
	__u32 reply_window;
	__u32 reply_count;
};

/* What is known of the packet's fields is forgotten, and read from the row where it is needed next.
 * To the verifier they are then any values, and all ways that led here are one; a value that stays
 * in a register would be followed from here on by itself. Costs a load. */
static __always_inline void packet_forget(void)
{
	barrier();
}

#endif
