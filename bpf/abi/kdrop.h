/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel itself drops of this node's packets: records of the ring buffer mg_kdrops, which
 * is there only while somebody watches (`margayctl monitor --kernel-drops`).
 */
#ifndef MARGAY_ABI_KDROP_H
#define MARGAY_ABI_KDROP_H

#include <linux/types.h>

#define MG_KDROP_BYTES 128
#define MG_KDROP_FUNCTION 48

struct mg_kdrop {
	__u64 time;	 /* boot time, ns */
	__u32 reason;	 /* enum skb_drop_reason of this kernel; subsystem in the upper half */
	__u32 ifindex;	 /* in the namespace of slot; 0: the packet had no device */
	__u32 length;	 /* from the network header on */
	__u16 slot;	 /* of the pod in whose namespace it was; 0: the node's own */
	__u16 captured;	 /* bytes in data */
	__be16 protocol; /* EtherType */
	__u8 pad[6];
	char function[MG_KDROP_FUNCTION]; /* of the kernel, which dropped it */
	__u8 data[MG_KDROP_BYTES];	  /* from the network header on */
};

/* mg_kdrop_count: one row a CPU. */
struct mg_kdrop_count {
	__u64 window; /* now */
	__u64 told;   /* in this window */
	__u64 missed; /* not told: too many, or the ring buffer was full */
};

_Static_assert(sizeof(struct mg_kdrop) == 80 + MG_KDROP_BYTES, "mg_kdrop");
_Static_assert(sizeof(struct mg_kdrop_count) == 24, "mg_kdrop_count");

#endif
