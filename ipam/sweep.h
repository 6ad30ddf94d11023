/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's garbage: what no node's own agent can give back. Addresses of nodes that are gone
 * (their reserves and tunnels, and those of pods that are gone with them), addresses that no pod
 * has for a grace period, blocks of nodes that are gone. One process does it for all, under a lease
 * (controller/lease.h).
 *
 * Nothing is released on one look alone: an address of a living node has to be without a pod in
 * every look of the grace period, under the same handle and sequence number, and node and pod are
 * asked for once more before each release. Where a node is gone, a pod that is still there keeps
 * its address: its kubelet may only have lost its Node.
 *
 * Source: Kubernetes' Pod and Node; KubeControllersConfiguration.controllers.node.leakGracePeriod.
 */
#ifndef MARGAY_IPAM_SWEEP_H
#define MARGAY_IPAM_SWEEP_H

#include <jansson.h>
#include <linux/types.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;
struct ipam_sweep;
struct store;

#define IPAM_SWEEP_GRACE_MS (15 * 60 * 1000)

struct ipam_sweep_report {
	size_t released; /* addresses */
	size_t blocks;	 /* that lost the node that is gone, or are gone with it */
	size_t suspects; /* addresses without a pod whose grace is not over */
};

/* Told of each address that is released: a record of ipam_check_objects(). */
typedef void (*ipam_sweep_told)(void *arg, const json_t *record);

/* told may be NULL. */
struct ipam_sweep *ipam_sweep_new(__u64 grace_ms, ipam_sweep_told told, void *arg);
/* From the next look on; what was seen before counts. */
void ipam_sweep_set_grace(struct ipam_sweep *sweep, __u64 grace_ms);
void ipam_sweep_free(struct ipam_sweep *sweep); /* accepts NULL */
DEFINE_CLEANUP(struct ipam_sweep *, ipam_sweep_free)
#define _cleanup_ipam_sweep_ _cleanup_(ipam_sweep_free_p)

/* One look, and the releases that are due by it. Lists nodes, pods and blocks; waits for the store.
 * now_ms: wall clock. A failure leaves the rest for the next look. */
int ipam_sweep_look(struct ipam_sweep *sweep, struct store *store, __u64 now_ms,
		    struct ipam_sweep_report *ret_report, struct err *err);

#endif
