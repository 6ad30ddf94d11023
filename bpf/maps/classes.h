/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Classes: what a set says of one kind of peer, by protocol and port. Class 0 drops
 * everything, so an identity without an entry is denied.
 */
#ifndef MARGAY_MAPS_CLASSES_H
#define MARGAY_MAPS_CLASSES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct mg_class);
} mg_classes __weak SEC(".maps");

#endif
