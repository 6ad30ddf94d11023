/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nodes by number (0: none). The way to a node stands here and not in the flow, so
 * a changed route or next hop is one store for all flows that go there.
 */
#ifndef MARGAY_MAPS_PEERS_H
#define MARGAY_MAPS_PEERS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/node.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct mg_peer);
} mg_peers __weak SEC(".maps");

#endif
