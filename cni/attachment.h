/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of one attachment (a container's interface): what DEL, CHECK, GC and a second ADD
 * need, whatever became of the agent. STATE_DIR/attachments/CONTAINER:IFNAME.json, mode 0600,
 * replaced whole; a colon is in neither name. It is written before anything is made and removed
 * after everything is gone.
 *
 * Whoever changes an interface or its record holds the lock of the interface's name on the host.
 * Strings and lists of a record belong to its arena.
 */
#ifndef MARGAY_CNI_ATTACHMENT_H
#define MARGAY_CNI_ATTACHMENT_H

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>

#include "abi/addr.h"
#include "base/cleanup.h"
#include "cni/bandwidth.h"

struct arena;
struct err;

#define ATTACHMENT_ROUTES_MAX 64

struct attachment {
	struct arena *arena;
	const char *container;
	const char *ifname;
	const char *network;
	const char *netns; /* path */
	const char *pod_namespace;
	const char *pod;
	const char *uid; /* "": not known */
	char host_ifname[IFNAMSIZ];
	bool ready;	    /* ADD came to its end; without it only the names above are sure */
	bool external;	    /* another IPAM plugin owns the addresses ... */
	const char *config; /* ... and this is what it is called with; NULL */
	__u32 slot;
	__u32 ifindex; /* host side */
	__u32 pod_ifindex;
	__u32 mtu;
	__u64 netns_cookie;
	__u8 mac[6]; /* pod's side */
	__u8 host_mac[6];
	union mg_addr ip4; /* zero: none */
	union mg_addr ip6;
	struct mg_prefix *routes; /* through the gateway */
	size_t route_count;
	struct bandwidth bandwidth;
	json_t *dns;	/* of the IPAM plugin; NULL */
	json_t *labels; /* asked for in the configuration; NULL */
	json_t *ports;	/* of the node that lead here (cni/ports.h); NULL */
};

void attachment_done(struct attachment *attachment);
#define _cleanup_attachment_ _cleanup_(attachment_done)

/* Makes STATE_DIR and its folders, 0700; refuses folders that others may write to. */
int state_prepare(const char *state_dir, struct err *err);

int attachment_store(const char *state_dir, const struct attachment *attachment, struct err *err);
/* -ENOENT: no record. What is no record of this attachment is -EBADMSG. */
int attachment_load(const char *state_dir, const char *container, const char *ifname,
		    struct attachment *ret_attachment, struct err *err);
/* 0 if it is gone already. Also what a killed writer of this record left. */
int attachment_remove(const char *state_dir, const char *container, const char *ifname,
		      struct err *err);

/* Every record, in no order. The record belongs to the walk. A file that cannot be read is handed
 * on with its name alone (attachment NULL). Ends early with what function returns, if not 0. */
typedef int (*attachment_fn)(const char *file, const struct attachment *attachment, void *data);
int attachment_each(const char *state_dir, attachment_fn function, void *data, struct err *err);

/* Removes files that writers left half-written when they were killed. */
void state_sweep(const char *state_dir);

/* What DEL could not tell the agent: STATE_DIR/released/CONTAINER:IFNAME.json. */
int release_store(const char *state_dir, const struct attachment *attachment, const json_t *request,
		  struct err *err);
int release_load(const char *state_dir, const struct attachment *attachment, json_t **ret_request);
int release_remove(const char *state_dir, const struct attachment *attachment);

/* An exclusive lock on an interface's name, until the descriptor is closed (or the process dies).
 * -ETIMEDOUT: somebody else held it until deadline (rpc_now()). */
int state_lock(const char *state_dir, const char *name, long long deadline, int *ret_fd,
	       struct err *err);

#endif
