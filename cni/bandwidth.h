/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CNI capability `bandwidth` (CNI conventions): bits a second and bits, "ingress" is what the
 * pod receives. Received traffic is limited at the egress of the host's interface, sent traffic at
 * the egress of an ifb device that the host's interface diverts to. The agent, told of it by
 * allocate, sets the endpoint's flags so that the programs leave both ways to the stack.
 */
#ifndef MARGAY_CNI_BANDWIDTH_H
#define MARGAY_CNI_BANDWIDTH_H

#include <jansson.h>
#include <stdbool.h>
#include <linux/types.h>

struct attachment;
struct cni_error;
struct net_sock;
struct wire;

struct bandwidth {
	__u64 ingress_rate; /* 0: no limit */
	__u64 ingress_burst;
	__u64 egress_rate;
	__u64 egress_burst;
};

/* An object of the capability; tree NULL: no limits. */
int bandwidth_read(const json_t *tree, struct bandwidth *ret_bandwidth, struct cni_error *error);

int bandwidth_set(const struct wire *wire, const struct attachment *attachment,
		  struct cni_error *error);
/* Removes the ifb device, if there is one; the rest goes with the host's interface. */
int bandwidth_unset(struct net_sock *host, const struct attachment *attachment,
		    struct cni_error *error);
int bandwidth_check(const struct wire *wire, const struct attachment *attachment,
		    struct cni_error *error);

#endif
