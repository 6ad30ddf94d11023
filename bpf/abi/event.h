/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of the ring buffer mg_events and of the step log mg_steps (the trace copy only).
 */
#ifndef MARGAY_ABI_EVENT_H
#define MARGAY_ABI_EVENT_H

#include "abi/addr.h"
#include "abi/policy.h"

/* Entry points; index of drop counters and field of events. */
#define MG_HOOKS(X)                                                                                \
	X(FROM_POD, "from_pod")                                                                    \
	X(TO_POD, "to_pod")                                                                        \
	X(FROM_NETDEV, "from_netdev")                                                              \
	X(TO_NETDEV, "to_netdev")                                                                  \
	X(FROM_TUNNEL, "from_tunnel")                                                              \
	X(XDP, "xdp")                                                                              \
	X(SOCK, "sock")

#define MG_HOOK_ENUM(name, text) MG_HOOK_##name,
enum mg_hook { MG_HOOKS(MG_HOOK_ENUM) MG_HOOK_MAX };
#undef MG_HOOK_ENUM

enum mg_event_kind {
	MG_EVENT_DROP = 1,
	MG_EVENT_FLOW = 2, /* a new flow was judged and allowed */
	MG_EVENT_LOG = 3,  /* Log rules were passed */
};

#define MG_EVENT_BYTES 128
#define MG_LOG_RULES 4 /* one a judgement: both ends', and the host endpoints' on the way */

struct mg_event {
	__u64 time; /* boot time, ns */
	union mg_addr src;
	union mg_addr dst;
	__u32 ifindex;
	__u32 length;		      /* of the packet */
	struct mg_judged judged[2];   /* sender's and receiver's */
	__u32 log_rule[MG_LOG_RULES]; /* in the order of judgement; 0: no more */
	__be16 sport;
	__be16 dport;
	__u16 identity[2]; /* of source, of destination */
	__u16 slot[2];	   /* of source, of destination; 0: not local */
	__u16 captured;	   /* bytes in data */
	__u8 proto;
	__u8 kind;	/* enum mg_event_kind */
	__u8 hook;	/* enum mg_hook */
	__u8 reason;	/* enum mg_reason */
	__u8 l3_offset; /* where data's network header begins: 0 or 14 */
	__u8 family;	/* 4, 6 or 0 */
	__u8 pad[4];
	__u8 data[MG_EVENT_BYTES];
};

/* mg_drops: per CPU, index hook * MG_DROP_SLOTS + reason. */
#define MG_DROP_SLOTS 64

struct mg_drop_count {
	__u64 packets;
	__u64 bytes;
};

/* What a step of the trace copy writes down. The meaning of a, b, c by kind is in the list. */
#define MG_STEPS(X)                                                                                \
	X(ENTRY, "entry", "a: hook, b: ifindex")                                                   \
	X(ENDPOINT, "endpoint", "a: slot, b: flags")                                               \
	X(FLOW, "flow", "a: 0 miss, 1 transient, 2 established; b: flow flags; c: judged again")   \
	X(SOURCE, "source", "a: identity, b: node, c: address flags")                              \
	X(DESTINATION, "destination", "a: identity, b: node << 16 | slot, c: address flags")       \
	X(EGRESS, "egress policy", "a: set, b: verdict, c: rule")                                  \
	X(INGRESS, "ingress policy", "a: set, b: verdict, c: rule")                                \
	X(STAGED_EGRESS, "staged egress", "a: set, b: verdict, c: rule")                           \
	X(STAGED_INGRESS, "staged ingress", "a: set, b: verdict, c: rule")                         \
	X(NAT, "source translation", "a: port, b: last word of the address")                       \
	X(ENCAP, "encapsulation", "a: 4 IP-in-IP, 41 IPv6, 17 VXLAN; b: node")                     \
	X(DECAP, "decapsulation", "a: 4, 41 or 17; b: node")                                       \
	X(DELIVER, "delivery", "a: slot, b: ifindex, c: 1 peer, 2 device, 3 stack")                \
	X(FORWARD, "forward", "a: ifindex, b: node")                                               \
	X(DROP, "drop", "a: reason")                                                               \
	X(RESET, "reset", "to the sender; a: sequence number, b: acknowledged number")             \
	X(HOST, "host policy", "a: stage << 16 | slot, b: verdict, c: rule")                       \
	X(FAILSAFE, "failsafe port", "a: port, b: protocol, c: 1 of what leaves")                  \
	X(SERVICE, "service", "a: set of backends, b: slot of the chosen one, c: its port")

#define MG_STEP_ENUM(name, text, help) MG_STEP_##name,
enum mg_step_kind { MG_STEPS(MG_STEP_ENUM) MG_STEP_MAX };
#undef MG_STEP_ENUM

#define MG_STEPS_MAX 64

struct mg_step {
	__u32 kind; /* enum mg_step_kind */
	__u32 a;
	__u32 b;
	__u32 c;
};

struct mg_steps {
	__u32 count;
	__u32 verdict; /* what finish returned to the kernel */
	struct mg_step step[MG_STEPS_MAX];
};

_Static_assert(sizeof(struct mg_event) == 104 + MG_EVENT_BYTES, "mg_event");
_Static_assert(sizeof(struct mg_steps) == 8 + 16 * MG_STEPS_MAX, "mg_steps");

#endif
