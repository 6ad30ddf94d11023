/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits of one device by the kernel's token bucket (tc-tbf(8)): at its egress directly, at
 * its ingress by way of an ifb device whose egress is limited. Rates are bytes a second, bursts
 * bytes. Everything but the ifb device goes when the device goes.
 *
 * -ENOENT, -EOPNOTSUPP: the kernel lacks sch_tbf, ifb, cls_u32 or act_mirred.
 */
#ifndef MARGAY_DATAPLANE_SHAPE_H
#define MARGAY_DATAPLANE_SHAPE_H

#include <linux/types.h>

struct err;
struct net_sock;

#define NET_IFB_PRIORITY 2 /* of the filter to the ifb: behind our program's */

struct net_rate {
	__u64 rate;
	__u32 burst; /* at least one packet of the device's MTU */
};

/* At the root of the device's egress, in place of what stands there. Packets wait 25 ms at most. */
int net_tbf_set(struct net_sock *sock, int ifindex, const struct net_rate *rate, struct err *err);

/* An ifb device, up. -EEXIST: the name is taken. */
int net_ifb_create(struct net_sock *sock, const char *name, __u32 mtu, int *ret_ifindex,
		   struct err *err);
/* What enters ifindex, and our program there hands on, passes the ifb's egress first. */
int net_ifb_divert(struct net_sock *sock, int ifindex, int ifb, struct err *err);

#endif
