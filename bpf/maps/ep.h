/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Local endpoints by slot. With ifindex MG_IFINDEX_BASE + slot this is the whole
 * search; slot 0 stays empty.
 * Size by bpfMapSizeIfState.
 */
#ifndef MARGAY_MAPS_EP_H
#define MARGAY_MAPS_EP_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/endpoint.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct mg_ep);
} mg_ep __weak SEC(".maps");

#endif
