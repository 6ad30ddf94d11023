/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Drops by hook and reason: index hook * MG_DROP_SLOTS + reason.
 * Read by metrics and `margayctl drops show`.
 */
#ifndef MARGAY_MAPS_DROPS_H
#define MARGAY_MAPS_DROPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MG_HOOK_MAX *MG_DROP_SLOTS);
	__type(key, __u32);
	__type(value, struct mg_drop_count);
} mg_drops __weak SEC(".maps");

#endif
