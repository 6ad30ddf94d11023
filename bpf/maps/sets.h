/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy sets by number: the root of the table from the peer's identity to its class.
 * Immutable once a commit can reach them.
 */
#ifndef MARGAY_MAPS_SETS_H
#define MARGAY_MAPS_SETS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MG_SETS_MAX);
	__type(key, __u32);
	__type(value, struct mg_set);
} mg_sets __weak SEC(".maps");

#endif
