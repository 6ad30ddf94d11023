/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend a client had last, for services with sessionAffinity. Programs write it; a row
 * that names a backend no more among its set's is as good as none.
 */
#ifndef MARGAY_MAPS_AFFINITY_H
#define MARGAY_MAPS_AFFINITY_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct mg_affinity_key);
	__type(value, struct mg_affinity);
} mg_affinity __weak SEC(".maps");

#endif
