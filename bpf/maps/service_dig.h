/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Digest of (UID, port, protocol, family, scope) of each set of backends, so that a restarted
 * agent gives the same numbers. Programs do not read it. Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_SERVICE_DIG_H
#define MARGAY_MAPS_SERVICE_DIG_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/digest.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct mg_digest);
} mg_service_dig __weak SEC(".maps");

#endif
