/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of an address, exact: pods here and elsewhere, addresses of nodes.
 * Not preallocated: memory as used.
 */
#ifndef MARGAY_MAPS_ADDRS_H
#define MARGAY_MAPS_ADDRS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/ident.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, union mg_addr);
	__type(value, struct mg_ident);
} mg_addrs __weak SEC(".maps");

#endif
