/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Backends by set and slot: a choice is a number below the frontend's count.
 * Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_BACKS_H
#define MARGAY_MAPS_BACKS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_back_key);
	__type(value, struct mg_back);
} mg_backs __weak SEC(".maps");

#endif
