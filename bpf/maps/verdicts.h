/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verdicts: action, deciding rule, last Log rule on the way. Verdict 0 drops,
 * verdict 1 allows, both without a rule.
 */
#ifndef MARGAY_MAPS_VERDICTS_H
#define MARGAY_MAPS_VERDICTS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct mg_verdict);
} mg_verdicts __weak SEC(".maps");

#endif
