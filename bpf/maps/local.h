/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * This node: addresses, flags, ports for source translation, lifetimes. One row,
 * rewritten whole by the agent when configuration changes; programs read it once a packet.
 */
#ifndef MARGAY_MAPS_LOCAL_H
#define MARGAY_MAPS_LOCAL_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/node.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mg_local);
} mg_local __weak SEC(".maps");

#endif
