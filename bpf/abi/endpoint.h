/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Local endpoints (pods, containers, virtual machines) by slot. A slot is a small
 * number the agent gives; with ifindex MG_IFINDEX_BASE + slot the row is an array
 * read, otherwise mg_ep_if (hash by ifindex) leads to the slot.
 */
#ifndef MARGAY_ABI_ENDPOINT_H
#define MARGAY_ABI_ENDPOINT_H

#include "abi/addr.h"

#define MG_SLOT_NONE 0 /* slot 0 is never given: a row of zeroes means "no endpoint" */

#define MG_EP_READY (1U << 0)	/* policy is in force; without it everything drops (not-ready) */
#define MG_EP_NO_PEER (1U << 1) /* deliver to the host-side device: it has a qdisc that counts */
#define MG_EP_THROUGH_STACK (1U << 2) /* return TC_ACT_UNSPEC after the verdict */
#define MG_EP_ANY_SOURCE (1U << 3)    /* allowedSourcePrefixes stand in mg_source for this slot */
/* Our programs stand at the device twice, by TCX and by clsact, while the agent changes the way:
 * what passes ends with the first of them (TC_ACT_OK for TC_ACT_UNSPEC), so that nothing is
 * judged twice. */
#define MG_EP_TWICE (1U << 5)

struct mg_ep {
	union mg_addr ip4;  /* v4-mapped; zero: none */
	union mg_addr ip6;  /* zero: none */
	__u64 netns_cookie; /* SO_NETNS_COOKIE of the pod */
	__u32 ifindex;	    /* host side of the veth pair */
	__u32 flags;	    /* MG_EP_* */
	__u32 mtu;	    /* of the pod's side */
	__u16 slot;	    /* own number */
	__u8 mac[6];	    /* the pod's side */
	__u8 host_mac[6];   /* the host's side: what the pod sends to */
	__u8 pad[6];
};

_Static_assert(sizeof(struct mg_ep) == 72, "mg_ep");

#endif
