/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * This node and the others.
 *
 * mg_local has one row, written by the agent, read by every program.
 * mg_peer is an array by node number (a number this agent gave; 0 is none).
 */
#ifndef MARGAY_ABI_NODE_H
#define MARGAY_ABI_NODE_H

#include "abi/addr.h"

/* mg_local.flags */
#define MG_LOCAL_IPIP (1U << 0)		  /* IP-in-IP is in use on this node */
#define MG_LOCAL_VXLAN (1U << 1)	  /* VXLAN is in use on this node */
#define MG_LOCAL_POD_IPIP (1U << 2)	  /* allowIPIPPacketsFromWorkloads */
#define MG_LOCAL_POD_VXLAN (1U << 3)	  /* allowVXLANPacketsFromWorkloads */
#define MG_LOCAL_ANY_SOURCE (1U << 4)	  /* workloadSourceSpoofing: Any */
#define MG_LOCAL_NAT_SKIP_HOSTS (1U << 5) /* natOutgoingExclusions: IPPoolsAndHostIPs */
#define MG_LOCAL_FLOWS_NEW (1U << 6)	  /* flow tables were created anew: see flows_new_until */
#define MG_LOCAL_RST (1U << 7) /* segments of revoked and unknown TCP flows are answered by RST */
#define MG_LOCAL_FLOW_EVENTS (1U << 8) /* somebody reads MG_EVENT_FLOW records */
#define MG_LOCAL_NO_IPV6                                                                           \
	(1U << 9) /* pods' IPv6 is dropped (ipv6-off), the node's own passes to the stack */
/* defaultEndpointToHostAction, of what pods of this node send to it: Drop; Return, where the policy
 * of the host endpoint for all interfaces decides. Neither: Accept. */
#define MG_LOCAL_POD_HOST_DROP (1U << 10)
#define MG_LOCAL_POD_HOST_JUDGE (1U << 11)
#define MG_LOCAL_HOST_POLICY (1U << 12) /* one of the two, or a host endpoint judges somewhere */
/* Pods' UDP sockets reach services when they connect or send, as their TCP sockets do. */
#define MG_LOCAL_CONNECT_UDP (1U << 13)
/* Node ports do not hold at 127.0.0.0/8; at ::1. */
#define MG_LOCAL_PORTLESS4 (1U << 14)
#define MG_LOCAL_PORTLESS6 (1U << 15)

#define MG_NAT_RANGES 4

struct mg_port_range {
	__u16 first; /* host order, inclusive */
	__u16 last;
};

/* Lifetimes in ticks of 2^20 ns (about 1.05 ms). */
enum mg_timeout {
	MG_TMO_TCP_SYN,
	MG_TMO_TCP_ESTABLISHED,
	MG_TMO_TCP_FIN,
	MG_TMO_TCP_RST,
	MG_TMO_UDP,
	MG_TMO_ICMP,
	MG_TMO_GENERIC,
	MG_TMO_FRAG,
	MG_TMO_MAX
};

struct mg_local {
	union mg_addr ip4;  /* node address, v4-mapped; zero: none */
	union mg_addr ip6;  /* node address; zero: none */
	union mg_addr nat4; /* natOutgoingAddress; zero: the address of the way out */
	union mg_addr nat6;
	__u64 flows_new_until; /* boot time, ns: until then no-flow segments may pass policy */
	__u32 flags;	       /* MG_LOCAL_* */
	__u32 vni;	       /* host order */
	__be16 vxlan_port;
	__u16 node;	 /* own node number */
	__u16 nat_total; /* ports in all nat ranges */
	__u16 mtu_ipip;	 /* of a packet inside IP-in-IP over the smallest uplink */
	__u16 mtu_vxlan;
	__u16 sport_first; /* outer UDP source ports of VXLAN */
	__u16 sport_count;
	__u8 vtep_mac[6]; /* of this node, inner Ethernet source */
	__u8 pad[4];
	struct mg_port_range nat[MG_NAT_RANGES];
	__u32 timeout[MG_TMO_MAX];
	__u32 vxlan_ifindex; /* the idle device; 0: none */
	__u16 host_any;	     /* slot of the host endpoint for all interfaces ("*"); 0: none */
	__u8 pad2[2];
};

/* mg_peer.flags */
#define MG_PEER_KNOWN (1U << 0) /* row is in use */
#define MG_PEER_SUBNET4                                                                            \
	(1U << 1) /* its IPv4 address is in a subnet of ours: CrossSubnet is native */
#define MG_PEER_SUBNET6 (1U << 2)

/* The way to a node, one for each family of the outer packet; the agent keeps it
 * in step with the kernel's routes. */
struct mg_way {
	__u32 ifindex;	       /* uplink; 0: not reachable */
	__u32 mtu;	       /* of the path to that node, learnt or of the uplink */
	union mg_addr gateway; /* zero: on link, the node itself */
};

struct mg_peer {
	union mg_addr ip4; /* v4-mapped; zero: none */
	union mg_addr ip6;
	struct mg_way way4;
	struct mg_way way6;
	__u32 flags;	  /* MG_PEER_* */
	__u8 vtep_mac[6]; /* inner Ethernet destination of VXLAN */
	__u8 pad[2];
	__u8 vtep_mac6[6]; /* the same for an IPv6 underlay */
	__u8 pad2[6];
};

/* mg_pmtu: by node number, [0] of an IPv4 and [1] of an IPv6 outer packet. */
struct mg_pmtu {
	__u32 mtu[2];  /* of the outer packet, as routers on the way told it; 0: nobody did */
	__u32 seen[2]; /* tick */
};

/* mg_uplink: hash by ifindex of interfaces our netdev programs are attached to. */
#define MG_UPLINK_L3 (1U << 0) /* no Ethernet header */

struct mg_uplink {
	__u32 flags;
	__u32 mtu;
	union mg_addr ip4; /* source of what leaves here; zero: none */
	union mg_addr ip6;
	__u16 host; /* slot of the host endpoint that judges here, in mg_slots; 0: none does */
	__u8 pad[6];
};

_Static_assert(sizeof(struct mg_local) == 160, "mg_local");
_Static_assert(sizeof(struct mg_peer) == 104, "mg_peer");
_Static_assert(sizeof(struct mg_pmtu) == 16, "mg_pmtu");
_Static_assert(sizeof(struct mg_uplink) == 48, "mg_uplink");

#endif
