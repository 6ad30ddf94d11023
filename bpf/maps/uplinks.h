/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interfaces that carry the netdev programs, by ifindex: whether frames have an
 * Ethernet header, and the addresses that packets leaving there may take.
 */
#ifndef MARGAY_MAPS_UPLINKS_H
#define MARGAY_MAPS_UPLINKS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/node.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct mg_uplink);
} mg_uplinks __weak SEC(".maps");

#endif
