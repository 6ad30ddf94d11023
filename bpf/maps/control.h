/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The commit in force, the change counter and the epochs of addresses. Mapped by the
 * agent: a commit is one store into it.
 */
#ifndef MARGAY_MAPS_CONTROL_H
#define MARGAY_MAPS_CONTROL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct mg_control);
} mg_control __weak SEC(".maps");

#endif
