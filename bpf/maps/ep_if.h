/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slot by ifindex, read only where the interface has no chosen index (made by
 * another tool, or the index was taken).
 */
#ifndef MARGAY_MAPS_EP_IF_H
#define MARGAY_MAPS_EP_IF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/endpoint.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} mg_ep_if __weak SEC(".maps");

#endif
