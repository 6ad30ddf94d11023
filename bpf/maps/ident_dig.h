/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Digest of each identity's atoms, so that a restarted agent gives the same numbers.
 * Programs do not read it.
 */
#ifndef MARGAY_MAPS_IDENT_DIG_H
#define MARGAY_MAPS_IDENT_DIG_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/digest.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct mg_digest);
} mg_ident_dig __weak SEC(".maps");

#endif
