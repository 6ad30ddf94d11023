/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Step log of the trace copy: one run at a time writes it. The packet path's own load
 * never touches it.
 */
#ifndef MARGAY_MAPS_STEPS_H
#define MARGAY_MAPS_STEPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mg_steps);
} mg_steps __weak SEC(".maps");

#endif
