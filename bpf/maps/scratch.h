/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One packet's memory, per CPU: the stack has 512 bytes only. Rows are per hook, so that a
 * program entered by another one's redirect on the same CPU does not find it overwritten.
 */
#ifndef MARGAY_MAPS_SCRATCH_H
#define MARGAY_MAPS_SCRATCH_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MG_HOOK_MAX);
	__type(key, __u32);
	__type(value, struct packet);
} mg_scratch __weak SEC(".maps");

#endif
