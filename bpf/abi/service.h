/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Services: where connections may be addressed to, and who serves them (docs/services.md).
 *
 *	mg_fronts	(address, port, protocol, scope) -> the set of backends behind it
 *	mg_backs	(set, slot) -> one backend; slots 0 to count - 1 are in use
 *	mg_members	(set, address, port) -> its slot; of sets whose clients keep their backend:
 *			with affinity; of UDP, where a socket without connect() does
 *	mg_affinity	(client, set) -> the backend it had last; programs write it
 *	mg_ranges	(set, net) -> clients that a frontend with MG_FRONT_SOURCES is open to
 *
 * A set is what one port of a service offers to one family: all its backends, or only those of
 * this node. Its number is the agent's and stable (mg_service_dig). The agent writes members and
 * backends before a frontend that counts them, and removes in the opposite order, so a number that
 * a program has read leads to a row; a slot that was taken away meanwhile does not, and slot 0
 * stands in for it.
 *
 * The scope is who asks: pods and nodes of the cluster, or everybody else. A cluster address has a
 * frontend of the first alone, an external one of both, which differ under policy Local. A node
 * port stands once for all nodes' addresses, at the family's unspecified one (0.0.0.0 v4-mapped, or
 *::), and so does a pod's host port for those of this node (MG_FRONT_OWN). A host port for one
 * address stands there; at a loopback address no packet finds it, since none has to come there.
 */
#ifndef MARGAY_ABI_SERVICE_H
#define MARGAY_ABI_SERVICE_H

#include "abi/addr.h"

/* mg_front_key.scope */
#define MG_FRONT_NEAR 0 /* for pods and nodes of the cluster */
#define MG_FRONT_FAR 1	/* for everybody else */
#define MG_FRONT_SELF 2 /* for sockets of the node itself: at a loopback address */

struct mg_front_key {
	union mg_addr addr;
	__be16 port;
	__u8 proto; /* IPPROTO_TCP, UDP or SCTP */
	__u8 scope; /* MG_FRONT_NEAR, _FAR, _SELF */
	__u8 pad[4];
};

/* mg_front.flags */
#define MG_FRONT_SILENT (1U << 0)  /* others have backends, this node has none: drop, no answer */
#define MG_FRONT_SOURCES (1U << 1) /* for clients alone that mg_ranges names by the set */
#define MG_FRONT_OWN (1U << 2)	   /* at the unspecified address: of this node's addresses alone */

struct mg_front {
	__u32 set;
	__u32 count;	/* backends; 0: none, the client is refused */
	__u32 affinity; /* seconds for which a client keeps its backend; 0: each choice is new */
	__u32 flags;	/* MG_FRONT_* */
};

struct mg_back_key {
	__u32 set;
	__u32 slot;
};

struct mg_back {
	union mg_addr addr;
	__be16 port;
	__u8 pad[6];
};

struct mg_member {
	union mg_addr addr;
	__u32 set;
	__be16 port;
	__u8 pad[2];
};

/* A net of clients. Longest prefix over set and address; the value says nothing. */
struct mg_range_key {
	__u32 len; /* MG_RANGE_BITS and the net's own length */
	__u32 set;
	union mg_addr addr;
};

#define MG_RANGE_BITS 32

struct mg_affinity_key {
	union mg_addr client;
	__u32 set;
	__u8 pad[4];
};

struct mg_affinity {
	union mg_addr addr;
	__u32 seen; /* tick (2^20 ns) of the client's last connection */
	__be16 port;
	__u8 pad[2];
};

_Static_assert(sizeof(struct mg_front_key) == 24, "mg_front_key");
_Static_assert(sizeof(struct mg_front) == 16, "mg_front");
_Static_assert(sizeof(struct mg_back_key) == 8, "mg_back_key");
_Static_assert(sizeof(struct mg_back) == 24, "mg_back");
_Static_assert(sizeof(struct mg_member) == 24, "mg_member");
_Static_assert(sizeof(struct mg_range_key) == 24, "mg_range_key");
_Static_assert(sizeof(struct mg_affinity_key) == 24, "mg_affinity_key");
_Static_assert(sizeof(struct mg_affinity) == 24, "mg_affinity");

#endif
