/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Failsafe ports: connections of the node itself that no host policy closes, by direction,
 * protocol, port and the far end's prefix; the value is 1. Read before a host policy is judged.
 */
#ifndef MARGAY_MAPS_FAILSAFE_H
#define MARGAY_MAPS_FAILSAFE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/failsafe.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_failsafe_key);
	__type(value, __u32);
} mg_failsafe __weak SEC(".maps");

#endif
