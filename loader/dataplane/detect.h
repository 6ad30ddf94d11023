/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which address is the node's own, by calico/node's methods: one answer for the agent, which acts
 *on it, and for `margayctl node plan`, which tells it before.
 *
 *	first-found			of the first interface of no known virtual kind
 *	interface=PATTERN[,...]		of the first interface whose name matches one of them
 *	skip-interface=PATTERN[,...]	as first-found, without those as well
 *	cidr=NET[,...]			the first one within one of the networks
 *	can-reach=DESTINATION		what the kernel would send from to that address or name
 *	kubernetes-internal-ip		the Node's InternalIP
 *
 * First is the interface with the lowest index that is up, and on it the address that the kernel
 * lists first; global addresses alone, no temporary ones. Patterns are POSIX extended, found
 * anywhere in the name. A name to be reached is resolved once, by detect_parse(), which waits for
 * the answer.
 *
 * Source: docs.tigera.io/calico/latest/reference/configure-calico-node, "IP autodetection methods".
 */
#ifndef MARGAY_DATAPLANE_DETECT_H
#define MARGAY_DATAPLANE_DETECT_H

#include "dataplane/netlink.h"

struct detect;

/* -EINVAL: no such method; -EADDRNOTAVAIL: the name to be reached has no address. */
int detect_parse(const char *method, struct detect **ret_detect, struct err *err);
void detect_free(struct detect *detect); /* accepts NULL */
DEFINE_CLEANUP(struct detect *, detect_free)
#define _cleanup_detect_ _cleanup_(detect_free_p)

/* The method asks for the Node's InternalIP. */
bool detect_needs_node(const struct detect *detect);

struct detect_ask {
	struct net_sock *sock;
	bool v6;
	union mg_addr internal; /* the Node's InternalIP of the family; zero: not known */
};

/* -ENOENT: there is none. */
int detect_address(const struct detect *detect, const struct detect_ask *ask,
		   struct net_addr *ret_addr, struct err *err);

/* An address without a length: that of the interface which has it, else a host's. */
int detect_length(struct net_sock *sock, const union mg_addr *addr, struct net_addr *ret_addr,
		  struct err *err);

#endif
