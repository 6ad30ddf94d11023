/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ring buffer of what the kernel dropped (abi/kdrop.h). Reserve never blocks: what does not
 * fit is counted in mg_kdrop_count.
 */
#ifndef MARGAY_MAPS_KDROPS_H
#define MARGAY_MAPS_KDROPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/kdrop.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 262144);
} mg_kdrops __weak SEC(".maps");

#endif
