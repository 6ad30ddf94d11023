/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where services are addressed: one lookup of a new flow's destination. Read by nothing else.
 * Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_FRONTS_H
#define MARGAY_MAPS_FRONTS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_front_key);
	__type(value, struct mg_front);
} mg_fronts __weak SEC(".maps");

#endif
