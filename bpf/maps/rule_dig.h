/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Digest of (policy UID, stage, rule index) of each rule number. Programs do not read
 * it. Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_RULE_DIG_H
#define MARGAY_MAPS_RULE_DIG_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/digest.h"
#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MG_RULES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct mg_digest);
} mg_rule_dig __weak SEC(".maps");

#endif
