/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Clients that services are for (loadBalancerSourceRanges): read for a new flow to a frontend that
 * asks for it alone. Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_RANGES_H
#define MARGAY_MAPS_RANGES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_range_key);
	__type(value, __u32);
} mg_ranges __weak SEC(".maps");

#endif
