/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two interfaces of one attachment: a veth pair from the host to the pod, its addresses,
 * routes, neighbours, settings and programs. The order of ADD is the order here; the pod's end
 * stays down until wire_up(). Everything lives and dies with the host's interface, so
 * wire_delete() is the undo of all of it.
 */
#ifndef MARGAY_CNI_WIRE_H
#define MARGAY_CNI_WIRE_H

#include "dataplane/netlink.h"

struct attachment;
struct cni_config;
struct cni_error;
struct err;

struct wire {
	int netns_fd;
	struct net_sock *host; /* of the plugin's own namespace */
	struct net_sock *pod;
};

/* -ENOENT: the namespace is gone (error says so too). */
int wire_open(const char *netns, struct wire *ret_wire, struct cni_error *error);
void wire_done(struct wire *wire);
#define _cleanup_wire_ _cleanup_(wire_done)
#define WIRE_NONE { .netns_fd = -1 }

/* Makes the pair; fills ifindex, pod_ifindex and the MACs that were left to the kernel. */
int wire_create(const struct wire *wire, struct attachment *attachment, struct cni_error *error);
/* Per-interface sysctls and features of both ends. */
int wire_settings(const struct wire *wire, const struct cni_config *config,
		  const struct attachment *attachment, struct cni_error *error);
/* The pinned programs, first on the host's interface. Not pinned: CNI_TRY_AGAIN. */
int wire_programs(const char *pin_dir, int attach_type, const struct attachment *attachment,
		  struct cni_error *error);
/* Host's end up, its link-local address, neighbours and routes to the pod's addresses. */
int wire_host(const struct wire *wire, const struct attachment *attachment,
	      struct cni_error *error);
/* The pod's addresses and neighbours, its end still down. */
int wire_pod(const struct wire *wire, const struct attachment *attachment, struct cni_error *error);
/* The pod's end up, then its routes; waits until packets reach the pod. Default routes that another
 * network of the pod has already are left out, and leave attachment's list. */
int wire_up(const struct wire *wire, struct attachment *attachment, struct cni_error *error);

/* Takes the pair out of the way without deleting it: down, under names of its own
 * (aside_ifnames()), each end where it is. 1: done, somebody has yet to delete it; 0: there is no
 * pair any more; -errno: it stands, at least in part. */
int wire_retire(struct net_sock *host, const char *netns, const struct attachment *attachment,
		struct err *err);

/* Deletes the host's interface if it is this attachment's; 0 if it is gone already. */
int wire_delete(struct net_sock *host, const struct attachment *attachment,
		struct cni_error *error);

#endif
