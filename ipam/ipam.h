/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses for pods, from blocks that belong to nodes. The objects are Calico's (IPPool,
 * IPReservation, IPAMConfiguration, IPAMBlock, BlockAffinity, IPAMHandle; projectcalico.org/v3)
 * and the store's compare-and-swap is the only truth: an address is given out only after a write
 * that covers it has succeeded. So that ADD waits for no write, a node holds a reserve: addresses
 * claimed ahead under the handle "margay-reserve-<node>". ADD takes one of them, notes the pod in
 * a journal on disk and is done; the pod's handle and the refill follow in a later block write.
 *
 * One instance a node, one thread, no thread or timer of its own. The agent calls
 *	ipam_commit()	once at the end of each turn of its loop: one fsync for all that wait, then
 *			the callbacks of requests and releases that are decided; no store access
 *	ipam_tick()	when ipam_commit() or ipam_tick() said so: bounded store work
 * A callback runs in one of these two (or in ipam_close(), with -ECANCELED), never inside
 * ipam_request() or ipam_release().
 *
 * Addresses are 16 bytes in network order (abi/addr.h), times milliseconds.
 */
#ifndef MARGAY_IPAM_IPAM_H
#define MARGAY_IPAM_IPAM_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "abi/addr.h"
#include "base/cleanup.h"
#include "base/err.h"

struct ipam;
struct journal_ops;
struct store;

#define IPAM_RESERVE_DEFAULT 8
#define IPAM_RESERVE_MAX 64
#define IPAM_COOLDOWN_MIN_MS 5000 /* a released address rests at least this long */
#define IPAM_ADDRS_MAX 8	  /* addresses of one attachment */
#define IPAM_NAME_MAX 254
#define IPAM_HANDLE_MAX 254

enum ipam_family {
	IPAM_AUTO = 0, /* each family that has a pool for the request */
	IPAM_V4 = 1,
	IPAM_V6 = 2,
	IPAM_DUAL = 3
};

struct ipam_label {
	const char *key, *value;
};

struct ipam_labels {
	const struct ipam_label *items;
	size_t count;
};

struct ipam_options {
	struct store *store; /* borrowed; outlives the instance */
	const char *node;
	const char *dir;	 /* the journal's folder, made if missing, 0700 */
	unsigned int reserve;	 /* a pool in use; 0: IPAM_RESERVE_DEFAULT */
	__u64 (*now)(void *arg); /* wall clock, ms; NULL: CLOCK_REALTIME */
	void *now_arg;
	const struct journal_ops *journal_ops; /* NULL: the system's */
	/* Given: writes of blocks and handles go behind the caller (store_commit_async()), and wake
	 * asks for the next ipam_commit(). NULL: ipam_tick() waits for them. */
	void (*wake)(void *arg);
	void *wake_arg;
};

/*
 * Opens the journal, replays it and reads the node's blocks. A store that is out of reach is no
 * error: the instance then works from the journal alone until it answers. -EBUSY: another process
 * holds the folder. -EBADMSG: the journal is damaged before its tail.
 */
int ipam_open(const struct ipam_options *options, struct ipam **ret_ipam, struct err *err);
void ipam_close(struct ipam *ipam); /* accepts NULL; what is not written stays in the journal */
DEFINE_CLEANUP(struct ipam *, ipam_close)

/* Labels of the node's object, for nodeSelector; copied. */
int ipam_node_labels(struct ipam *ipam, const struct ipam_labels *labels);
/* A watched object changed: IPPool, IPReservation, IPAMConfiguration, IPAMBlock. version: its
 * resourceVersion now, NULL: deleted. Cheap for what this instance wrote itself. */
void ipam_notice(struct ipam *ipam, const char *kind, const char *name, const char *version);

/* --- ADD and DEL ----------------------------------------------------------------------------- */

/* An attachment. Its handle is "<network>.<container>" as Calico's ("k8s-pod-network.<id>"). */
struct ipam_owner {
	const char *network; /* name of the CNI network; NULL: k8s-pod-network */
	const char *container;
	const char *ifname;	    /* NULL: eth0 */
	const char *namespace_name; /* may be NULL */
	const char *pod;	    /* may be NULL */
	/* Given through margay-ipam: no endpoint of the agent stands behind it, so only a GC that
	 * names its network judges it. */
	bool bare;
};

/* All strings are copied. The *_pools and ip_addrs texts are JSON arrays of strings as they stand
 * in annotations and CNI configuration; an element is a pool's name or its CIDR. Precedence: pod,
 * namespace, configuration, then all pools that match. Index 0: IPv4, 1: IPv6. */
struct ipam_request {
	struct ipam_owner owner;
	enum ipam_family families;
	const char *pod_pools[2];  /* cni.projectcalico.org/ipv4pools, ipv6pools of the pod */
	const char *ns_pools[2];   /* the same of its namespace */
	const char *conf_pools[2]; /* ipv4_pools, ipv6_pools of the CNI configuration */
	struct ipam_labels ns_labels;
	const char *ip_addrs;	    /* cni.projectcalico.org/ipAddrs: fixed addresses */
	const union mg_addr *fixed; /* the CNI capability "ips"; used when ip_addrs is NULL */
	size_t fixed_count;
};

struct ipam_addr {
	union mg_addr addr;
	struct mg_prefix block;
	char pool[IPAM_NAME_MAX];
	bool borrowed; /* the block belongs to another node, or to none */
};

struct ipam_result {
	/* 0, or err.code: -ENOENT no pool matches, -ENOSPC exhausted (the text names the pools
	 * tried), -EINVAL a text of the request, -EADDRNOTAVAIL a fixed address lies in no pool,
	 * -EADDRINUSE it belongs to another, -EAGAIN store out of reach or address on its way: try
	 * again later, -ECANCELED released or closed meanwhile */
	int status;
	struct err err;
	struct ipam_addr addrs[IPAM_ADDRS_MAX]; /* IPv4 first */
	size_t count;
};

typedef void ipam_done_fn(void *arg, const struct ipam_result *result);

/* done is called exactly once. The same owner again gets the addresses it already has. */
void ipam_request(struct ipam *ipam, const struct ipam_request *request, ipam_done_fn *done,
		  void *arg);
/* Addresses without a pod, from pools whose allowedUses has Tunnel. */
struct ipam_tunnel {
	const char *handle; /* "vxlan-tunnel-addr-<node>", "ipip-tunnel-addr-<node>" ... */
	const char *type;   /* Calico's attribute: "vxlanTunnelAddress", "ipipTunnelAddress" ... */
	enum ipam_family family; /* one of the two */
	const char *pools;	 /* JSON array of names; NULL: all that select the node */
};
void ipam_request_tunnel(struct ipam *ipam, const struct ipam_tunnel *tunnel, ipam_done_fn *done,
			 void *arg);

/* Releases all addresses of the owner, cancels its request. Unknown is 0. done (may be NULL) runs
 * when the release is on disk; the store learns of it behind that. */
void ipam_release(struct ipam *ipam, const struct ipam_owner *owner, ipam_done_fn *done, void *arg);
void ipam_release_handle(struct ipam *ipam, const char *handle, ipam_done_fn *done, void *arg);
/* One address of this node, by whatever handle. -ENOENT: not one of ours. */
int ipam_release_addr(struct ipam *ipam, const union mg_addr *addr);

/* Addresses an owner holds now; -ENOENT: none. For CHECK. */
int ipam_find(struct ipam *ipam, const struct ipam_owner *owner, struct ipam_result *ret_result);

/* --- work ------------------------------------------------------------------------------------ */

#define IPAM_IDLE (-1)

/* Milliseconds until there is work again, ipam_commit() first and then ipam_tick(): 0 now,
 * IPAM_IDLE nothing to do. */
int ipam_commit(struct ipam *ipam);
int ipam_tick(struct ipam *ipam);

/* --- garbage --------------------------------------------------------------------------------- */

/* What really runs on this node. addrs may be empty; when given, an address that the journal has
 * lost is taken again for its owner, if no other has it. */
struct ipam_attachment {
	struct ipam_owner owner;
	const union mg_addr *addrs;
	size_t addr_count;
};

struct ipam_gc_report {
	size_t released;  /* addresses whose owner is not in the list */
	size_t adopted;	  /* addresses in the list that were not held */
	size_t conflicts; /* addresses in the list that belong to another */
};

/* network: only attachments of this network are judged, as the CNI operation GC asks; NULL: all
 * but bare ones. valid lists every attachment of it that exists, those in work included. */
struct ipam_gc {
	const char *network;
	const struct ipam_attachment *valid;
	size_t count;
};

/* Releases what this node holds for owners that are not listed (tunnel addresses and the reserve
 * stay). Call it with all that runs when the agent starts, before the first request. */
int ipam_collect_garbage(struct ipam *ipam, const struct ipam_gc *gc,
			 struct ipam_gc_report *ret_report, struct err *err);

/* --- status ---------------------------------------------------------------------------------- */

struct ipam_pool_status {
	char name[IPAM_NAME_MAX];
	struct mg_prefix cidr;
	unsigned int reserve;  /* addresses that ADD can take without a write */
	unsigned int target;   /* what the reserve shall be */
	unsigned int used;     /* by pods of this node */
	unsigned int free_own; /* free in this node's blocks, beyond the reserve */
	unsigned int blocks;   /* of this node */
	bool exhausted;	       /* the last claim found nothing */
};

struct ipam_status {
	bool store_down;
	struct err store_err; /* why */
	size_t unwritten;     /* addresses of which the store does not know yet */
	size_t waiting;	      /* requests */
	size_t conflicts;     /* pods' addresses that the store gave to another, since the start */
	bool distrust;	      /* the journal was lost; ipam_collect_garbage() is awaited */
	size_t pool_count;
};

void ipam_read_status(struct ipam *ipam, struct ipam_status *ret_status);
/* index < pool_count; -ENOENT beyond. */
int ipam_pool_status(struct ipam *ipam, size_t index, struct ipam_pool_status *ret_status);
/* 0: an address of each family that has a pool can be given; -ENOSPC none left (CNI code 50). */
int ipam_ready(struct ipam *ipam, struct err *err);

#endif
