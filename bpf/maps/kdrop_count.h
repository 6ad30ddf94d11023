/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many of the kernel's drops each CPU has told in the current window, and how many it
 * kept to itself: a flood costs a counter and no more.
 */
#ifndef MARGAY_MAPS_KDROP_COUNT_H
#define MARGAY_MAPS_KDROP_COUNT_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/kdrop.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mg_kdrop_count);
} mg_kdrop_count __weak SEC(".maps");

#endif
