/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel routes of protocol 80: wanted against actual, additions first. Routes of other protocols
 * are never touched; one of them with the same destination and metric stays and is reported.
 */
#ifndef MARGAY_SYNC_ROUTES_H
#define MARGAY_SYNC_ROUTES_H

#include <stdbool.h>

#include "dataplane/netlink.h"

struct err;

struct routes_report {
	unsigned int written;
	unsigned int removed;
	unsigned int failed;
};

/* wanted need not be sorted. Goes on after a failure; returns the first one. */
int routes_sync(struct net_sock *sock, const struct net_route *wanted, size_t count, bool removal,
		struct routes_report *ret_report, struct err *err);

/* Order and equality of routes as the kernel keeps them: (table, destination, metric) is the key.
 */
int route_key_cmp(const struct net_route *a, const struct net_route *b);
bool route_equal(const struct net_route *a, const struct net_route *b);

#endif
