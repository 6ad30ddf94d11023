/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Path MTU to each node as routers on the way told it (by ICMP about our outer packets),
 * by node number. Programs write it; a row that is older than ten minutes is not believed.
 */
#ifndef MARGAY_MAPS_PMTU_H
#define MARGAY_MAPS_PMTU_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/node.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct mg_pmtu);
} mg_pmtu __weak SEC(".maps");

#endif
