/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections, packets and bytes by rule number. Rules with a higher number are judged
 * and not counted, and reported.
 */
#ifndef MARGAY_MAPS_RULE_STATS_H
#define MARGAY_MAPS_RULE_STATS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct mg_rule_stats);
} mg_rule_stats __weak SEC(".maps");

#endif
