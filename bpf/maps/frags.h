/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ports of fragmented packets by (addresses, identification, protocol): written by the
 * first fragment, read by the others.
 */
#ifndef MARGAY_MAPS_FRAGS_H
#define MARGAY_MAPS_FRAGS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/flow.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct mg_frag_key);
	__type(value, struct mg_frag);
} mg_frags __weak SEC(".maps");

#endif
