/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources besides its own addresses that an endpoint may send from
 * (allowedSourcePrefixes): prefix to slot. Read only for MG_EP_ANY_SOURCE.
 */
#ifndef MARGAY_MAPS_SOURCE_H
#define MARGAY_MAPS_SOURCE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/endpoint.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_prefix);
	__type(value, __u32);
} mg_source __weak SEC(".maps");

#endif
