/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages of all tables, in chunks of 1,024. The outer array is read for its chunk, the
 * chunk for its page; page 0 is all zero. Grows by chunks.
 *
 * The loader puts mg_chunk0 in its place: bpftool's linker (7.1) takes the size of a map with
 * initial values for that of the bare structure, and libbpf then refuses the object. A chunk is
 * described by sizes, not types: before Linux 6.2 a map with types is no equal of the untyped ones
 * that the loader makes later (bpf_map_meta_equal() compares where a timer would be).
 */
#ifndef MARGAY_MAPS_PAGES_H
#define MARGAY_MAPS_PAGES_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/policy.h"

struct mg_chunk {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MG_CHUNK_PAGES);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct mg_page));
} mg_chunk0 __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MG_CHUNKS_MAX);
	__type(key, __u32);
	__array(values, struct mg_chunk);
} mg_pages __weak SEC(".maps");

#endif
