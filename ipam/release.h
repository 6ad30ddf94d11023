/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases one address from outside, without an instance: for `margayctl ipam release` and a
 * cluster-wide collector. The node that holds it learns of it by its next look at the block.
 */
#ifndef MARGAY_IPAM_RELEASE_H
#define MARGAY_IPAM_RELEASE_H

#include <jansson.h>
#include <stdbool.h>

#include "abi/addr.h"

struct err;
struct store;

struct ipam_free {
	union mg_addr addr;
	const char *handle; /* release only if held by it; NULL: by whoever */
	__u64 sequence; /* and only if given with this number (ip record of the check); 0: any */
	bool reserve;	/* also if it is in a node's reserve: the node may be giving it out now */
	__u64 now_ms;
};

/* 0; -ENOENT: not allocated, or in no block; -ESTALE: held by another, or given anew meanwhile;
 * -EBUSY: in a reserve; errors of the store. */
int ipam_free_addr(struct store *store, const struct ipam_free *what, struct err *err);

#endif
