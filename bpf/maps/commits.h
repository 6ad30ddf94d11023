/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commit rows: which column is in force and which one past the deadline. A row is
 * never changed while mg_control names it.
 */
#ifndef MARGAY_MAPS_COMMITS_H
#define MARGAY_MAPS_COMMITS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MG_COMMIT_ROWS);
	__type(key, __u32);
	__type(value, struct mg_commit);
} mg_commits __weak SEC(".maps");

#endif
