/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Established flows. Never evicted; a row ends by RST, FIN both ways, its lifetime or
 * a change of policy.
 * Size by bpfMapSizeConntrack.
 */
#ifndef MARGAY_MAPS_FLOW_E_H
#define MARGAY_MAPS_FLOW_E_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_flow_key);
	__type(value, struct mg_flow);
} mg_flow_e __weak SEC(".maps");

#endif
