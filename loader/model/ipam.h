/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What IPAM keeps in the store: IPAMConfiguration, IPAMBlock, BlockAffinity, IPAMHandle
 * (projectcalico.org/v3). Reading only; ipam/ writes them.
 */
#ifndef MARGAY_MODEL_IPAM_H
#define MARGAY_MODEL_IPAM_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

struct ipam_config {
	struct object base;
	bool strict_affinity;
	bool auto_allocate_blocks;    /* by default true */
	uint32_t max_blocks_per_host; /* 0: 20 */
	uint32_t cooldown_s;	      /* ipCooldownSeconds, 0-1200 */
};

struct ipam_attribute {
	const char *handle;	 /* handle_id; "" : none */
	struct labels secondary; /* pod, namespace, node, timestamp, type ... */
	const char *released_at; /* RFC 3339 text; "" : in use */
};

struct ipam_ordinal_sequence {
	uint32_t ordinal;
	uint64_t sequence;
};

#define IPAM_UNALLOCATED (-1)
#define IPAM_BLOCK_ADDRS_MAX 4096 /* a /20 or a /116 */

struct ipam_block {
	struct object base;
	struct mg_prefix cidr; /* masked */
	const char *affinity;  /* "host:NODE", "virtual:NAME"; "" : none */
	const char *affinity_claim_time;
	size_t size;	      /* addresses in cidr */
	int32_t *allocations; /* by ordinal: index into attributes, IPAM_UNALLOCATED */
	size_t free_count;
	uint32_t *unallocated; /* ordinals, first is given out first */
	size_t attribute_count;
	struct ipam_attribute *attributes;
	uint64_t sequence;
	size_t sequence_count;
	struct ipam_ordinal_sequence *sequences; /* sequenceNumberForAllocation, by ordinal */
	bool deleted;
};

enum affinity_state {
	AFFINITY_NONE, /* "" */
	AFFINITY_PENDING,
	AFFINITY_CONFIRMED,
	AFFINITY_PENDING_DELETION
};

struct block_affinity {
	struct object base;
	enum affinity_state state;
	const char *node;
	bool is_virtual; /* type virtual, not host */
	struct mg_prefix cidr;
	bool deleted;
};

struct ipam_handle_block {
	struct mg_prefix cidr;
	uint32_t count;
};

struct ipam_handle {
	struct object base;
	const char *id;
	size_t count;
	struct ipam_handle_block *blocks;
	bool deleted;
};

static inline const struct ipam_config *ipam_config_of(const struct object *object)
{
	return object && object->kind == KIND_IPAM_CONFIG ? (const struct ipam_config *)object
							  : NULL;
}

static inline const struct ipam_block *ipam_block_of(const struct object *object)
{
	return object && object->kind == KIND_IPAM_BLOCK ? (const struct ipam_block *)object : NULL;
}

static inline const struct block_affinity *block_affinity_of(const struct object *object)
{
	return object && object->kind == KIND_BLOCK_AFFINITY ? (const struct block_affinity *)object
							     : NULL;
}

static inline const struct ipam_handle *ipam_handle_of(const struct object *object)
{
	return object && object->kind == KIND_IPAM_HANDLE ? (const struct ipam_handle *)object
							  : NULL;
}

#endif
