/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks over a whole cluster's IPAM objects for what does not fit together. Pure: lists of objects
 * in, a report out; `margayctl ipam check` and the tests are its users.
 */
#ifndef MARGAY_IPAM_CHECK_H
#define MARGAY_IPAM_CHECK_H

#include <jansson.h>

#include "abi/addr.h"

/* Arrays of objects. NULL: not known, what needs it is not judged. All but allocated pods borrow.
 */
struct ipam_objects {
	const json_t *pools;	      /* IPPool */
	const json_t *blocks;	      /* IPAMBlock */
	const json_t *affinities;     /* BlockAffinity */
	const json_t *handles;	      /* IPAMHandle */
	const json_t *nodes;	      /* Node, v1 or v3: names */
	const json_t *pods;	      /* Pod: status.podIPs, spec.nodeName */
	const json_t *workloads;      /* WorkloadEndpoint: spec.ipNetworks, spec.pod, spec.node */
	const json_t *reservations;   /* IPReservation */
	const json_t *configurations; /* IPAMConfiguration */
};

/*
 * The report, a new reference:
 *	{"blocks": n, "addresses": n, "allocated": n, "reserve": n, "cooling": n, "free": n,
 *	 "ips": [{"ip", "handle", "pod", "namespace", "node", "block", "sequence", "inUse"}],
 *	 "problems": [{"kind", "ip" or "object", "text", ...}]}
 * inUse stands only where pods or workloads are given. Kinds of problems:
 *	leaked		  allocated to a pod that does not exist or does not have it (with handle,
 *			  sequence: what `ipam release --from-report` needs)
 *	not-allocated	  in use by a pod, in a pool, but not allocated to it
 *	two-owners	  in use by two pods
 *	not-in-pool	  allocated, but in no pool
 *	overlap		  in two blocks
 *	invalid-block	  does not decode
 *	missing-handle, orphan-handle, handle-count	IPAMHandle against blocks
 *	missing-affinity, orphan-affinity		BlockAffinity against blocks
 *	no-node		  held for a node that does not exist
 */
json_t *ipam_check_objects(const struct ipam_objects *objects);

/*
 * How full pools and blocks are, and who borrows; a new reference:
 *	{"pools": [{"name", "cidr", "total", "inUse", "reserved", "reserve", "resting", "free",
 *		    "blocks": [{"cidr", "affinity", "total", ... as above}]}],
 *	 "borrowed": [{"ip", "node", "block", "owner", "type", "allocatedTo"}]}
 * inUse: by pods and tunnels; reserved: by IPReservation and free otherwise; reserve: claimed
 * ahead by nodes; resting: released a moment ago (now_ms). The sum of the five is total. Numbers
 * of IPv6 pools are reals: they do not fit integers.
 */
json_t *ipam_usage(const struct ipam_objects *objects, __u64 now_ms);

/* One address: {"ip", "block", "handle", "attributes": {...}}; no handle: not allocated. NULL: no
 * block has it. A new reference. */
json_t *ipam_lookup(const json_t *blocks, const union mg_addr *addr);

#endif
