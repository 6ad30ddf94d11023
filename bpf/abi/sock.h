/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets whose destination was translated when they connected or sent (docs/services.md).
 *
 *	mg_netns	cookie of a network namespace of this node -> slot of the pod, 0: the node's
 *own mg_socks	what a socket was promised, and what it has; programs write it
 *
 * A socket is known by its cookie (SO_COOKIE), which no other one is given. Rows outlive their
 * socket until the table needs their room.
 */
#ifndef MARGAY_ABI_SOCK_H
#define MARGAY_ABI_SOCK_H

#include "abi/addr.h"

enum mg_sock_way {
	MG_SOCK_SHOWN, /* key: a backend; row: the service that the socket believes to talk to */
	MG_SOCK_SENT,  /* key: a service; row: where the socket's datagrams to it go */
};

struct mg_sock_key {
	__u64 cookie;
	union mg_addr addr;
	__be16 port;
	__u8 way; /* enum mg_sock_way */
	__u8 proto;
	__u8 pad[4];
};

struct mg_sock {
	union mg_addr addr;
	__u32 set;  /* of backends */
	__u32 seen; /* tick of the last datagram, about a second exact; of MG_SOCK_SENT */
	__be16 port;
	__u8 pad[6];
};

_Static_assert(sizeof(struct mg_sock_key) == 32, "mg_sock_key");
_Static_assert(sizeof(struct mg_sock) == 32, "mg_sock");

#endif
