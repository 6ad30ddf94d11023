/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ring buffer of drops, new flows and logged packets. Reserve never blocks: what does
 * not fit is counted by the agent as lost.
 * Size by bpfExportBufferSizeMB.
 */
#ifndef MARGAY_MAPS_EVENTS_H
#define MARGAY_MAPS_EVENTS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1048576);
} mg_events __weak SEC(".maps");

#endif
