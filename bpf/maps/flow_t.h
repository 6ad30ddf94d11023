/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Transient flows: half-open, short-lived, closing and one-way. A flood evicts only
 * rows of this table.
 * Size by bpfMapSizeConntrack.
 */
#ifndef MARGAY_MAPS_FLOW_T_H
#define MARGAY_MAPS_FLOW_T_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256000);
	__type(key, struct mg_flow_key);
	__type(value, struct mg_flow);
} mg_flow_t __weak SEC(".maps");

#endif
