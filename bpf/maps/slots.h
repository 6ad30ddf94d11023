/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy sets of each endpoint slot, one for each stage and direction, in four columns
 * (docs/policy-engine.md). A row of zeroes judges nothing: mg_ep says not ready.
 */
#ifndef MARGAY_MAPS_SLOTS_H
#define MARGAY_MAPS_SLOTS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct mg_slot);
} mg_slots __weak SEC(".maps");

#endif
