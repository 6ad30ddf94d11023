/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network namespaces of this node by cookie (SO_NETNS_COOKIE): slot of the pod, 0 for the
 * node's own. Socket programs see the sockets of every node that shares the kernel; these are ours.
 */
#ifndef MARGAY_MAPS_NETNS_H
#define MARGAY_MAPS_NETNS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} mg_netns __weak SEC(".maps");

#endif
