/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Digest of each policy set's content. Programs do not read it.
 * See mg_ident_dig.
 */
#ifndef MARGAY_MAPS_SET_DIG_H
#define MARGAY_MAPS_SET_DIG_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/digest.h"
#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MG_SETS_MAX);
	__type(key, __u32);
	__type(value, struct mg_digest);
} mg_set_dig __weak SEC(".maps");

#endif
