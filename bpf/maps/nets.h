/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nets that rules name, pools and blocks, longest prefix. Read on a new flow only,
 * and only for an address without an exact row.
 */
#ifndef MARGAY_MAPS_NETS_H
#define MARGAY_MAPS_NETS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/ident.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_prefix);
	__type(value, struct mg_ident);
} mg_nets __weak SEC(".maps");

#endif
