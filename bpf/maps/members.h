/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The backends of sets with sessionAffinity, and of UDP, by address: is the one a client or a
 * socket had still among them, and where? Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_MEMBERS_H
#define MARGAY_MAPS_MEMBERS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 524288);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_member);
	__type(value, __u32);
} mg_members __weak SEC(".maps");

#endif
