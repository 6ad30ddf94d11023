/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of an address: mg_addrs (hash, exact) and, on a miss, mg_nets
 * (longest-prefix trie of nets that rules name, pools and blocks) hold this row.
 * An address found in neither is treated as identity 0 (IPv4) or 1 (IPv6).
 */
#ifndef MARGAY_ABI_IDENT_H
#define MARGAY_ABI_IDENT_H

#include "abi/addr.h"

enum {
	MG_IDENT_WORLD4 = 0, /* no atom true but the family */
	MG_IDENT_WORLD6 = 1,
	MG_IDENT_UNKNOWN4 = 2, /* an enabled pool's address whose owner is not known */
	MG_IDENT_UNKNOWN6 = 3,
	MG_IDENT_FIRST = 4,
};

#define MG_ADDR_POD (1U << 0)	/* exact row of a workload; slot (local) or node (remote) */
#define MG_ADDR_HOST (1U << 1)	/* a node's own address, tunnel addresses included */
#define MG_ADDR_LOCAL (1U << 2) /* lives on this node */
#define MG_ADDR_POOL (1U << 3)	/* in an enabled pool */
#define MG_ADDR_ANY_POOL                                                                           \
	(1U << 4)		    /* in a pool, disabled ones included: no source NAT towards it \
				     */
#define MG_ADDR_NAT_OUT (1U << 5)   /* its pool has natOutgoing */
#define MG_ADDR_BLOCK (1U << 6)	    /* from a block row: the node is right, the pod is not known */
#define MG_ADDR_IPIP (1U << 7)	    /* pool: ipipMode is not Never */
#define MG_ADDR_VXLAN (1U << 8)	    /* pool: vxlanMode is not Never */
#define MG_ADDR_CROSS (1U << 9)	    /* pool: CrossSubnet: native within the subnet */
#define MG_ADDR_PORTLESS (1U << 10) /* a node's own, at which node ports do not hold */

struct mg_ident {
	__u16 identity;
	__u16 node; /* mg_peer index; 0: no node of ours */
	/* mg_ep index where MG_ADDR_LOCAL|MG_ADDR_POD; else 0. In mg_nets, whose rows are nobody's
	 * endpoint: the length of the row's own prefix, by which user space tells the row of a
	 * prefix from the one around it, which a lookup gives when there is none. */
	__u16 slot;
	__u16 flags; /* MG_ADDR_* */
};

_Static_assert(sizeof(struct mg_ident) == 8, "mg_ident");

#endif
