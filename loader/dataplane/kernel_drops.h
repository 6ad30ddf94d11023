/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel itself drops of this node's packets (bpf/kernel_drops.bpf.c): a program on the
 * tracepoint skb:kfree_skb that is loaded by dp_kernel_drops_open() and gone with
 * dp_kernel_drops_close(), maps and all. It is no part of the pinned set. Needs CAP_BPF,
 * CAP_PERFMON and the kernel's type information (/sys/kernel/btf/vmlinux).
 *
 * Told are packets in the namespaces that dp_kernel_drops_watch() named; beyond 128 in 134 ms a
 * CPU they are counted only.
 */
#ifndef MARGAY_DATAPLANE_KERNEL_DROPS_H
#define MARGAY_DATAPLANE_KERNEL_DROPS_H

#include "abi/event.h"
#include "abi/kdrop.h"

struct dp;
struct err;
struct dp_kernel_drops;

/* The record is lent for the call. */
typedef void (*dp_kernel_drop_fn)(const struct mg_kdrop *drop, void *data);

/* -ENOENT: this kernel has no type information. dp must outlive it. */
int dp_kernel_drops_open(const struct dp *dp, dp_kernel_drop_fn function, void *data,
			 struct dp_kernel_drops **ret_drops, struct err *err);
void dp_kernel_drops_close(struct dp_kernel_drops *drops); /* accepts NULL */

/* A namespace by its cookie; slot 0 is the node's own, others are a pod's. */
int dp_kernel_drops_watch(struct dp_kernel_drops *drops, __u64 cookie, __u16 slot);
int dp_kernel_drops_forget(struct dp_kernel_drops *drops, __u64 cookie);

/* Readable while records wait. */
int dp_kernel_drops_fd(const struct dp_kernel_drops *drops);
/* Hands on at most max records; how many, or -errno. */
int dp_kernel_drops_read(struct dp_kernel_drops *drops, unsigned int max);
/* How many were counted only since this was last asked. */
__u64 dp_kernel_drops_missed(struct dp_kernel_drops *drops);

/* The kernel's name of a reason without its prefix ("NO_SOCKET"), "SUBSYSTEM:number" or "number"
 * where it has none. text: where a number is put. */
#define DP_KERNEL_REASON_TEXT 64
const char *dp_kernel_drops_reason(const struct dp_kernel_drops *drops, __u32 reason,
				   char text[DP_KERNEL_REASON_TEXT]);

/* The record as an event, addresses and ports decoded from its bytes; family 0: no IP packet. */
void dp_kernel_drop_event(const struct mg_kdrop *drop, struct mg_event *ret_event);

#endif
