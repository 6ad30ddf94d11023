/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One IPAMBlock in memory: decoded from the API object, changed by the functions below, encoded
 * again. No store access. Ordinal n is the n-th address of the block's CIDR.
 *
 * An ordinal is free (listed in `unallocated`, first in first out), held (its attribute has a
 * handle_id), or cooling: released, but resting (its attribute has releasedAt and no handle_id;
 * readers that do not know releasedAt see it as taken). Fields of the object that are not known
 * here are kept. Source: projectcalico.org/v3 IPAMBlock.spec.
 */
#ifndef MARGAY_IPAM_BLOCK_H
#define MARGAY_IPAM_BLOCK_H

#include <stdbool.h>

#include <jansson.h>

#include "abi/addr.h"
#include "base/cleanup.h"

struct err;

#define BLOCK_SIZE_MAX 4096    /* /20 and /116, the largest blockSize of the API */
#define BLOCK_NAME_MAX 64      /* "10-244-0-0-26" */
#define BLOCK_AFFINITY "host:" /* before a node's name in spec.affinity */

struct block {
	struct mg_prefix cidr;
	unsigned int size;
	char *affinity;	  /* "host:<node>"; NULL: belongs to no node */
	__u64 claimed_ms; /* affinityClaimTime; 0: unknown */
	__u64 sequence;
	bool deleted;
	json_t **attrs;	    /* an ordinal; NULL: free */
	__u64 *sequences;   /* an ordinal; 0: not given */
	unsigned int *fifo; /* free ordinals, next one first */
	unsigned int fifo_count;
	json_t *object; /* as read; NULL: not stored yet */
};

/* -EINVAL: not a block that may be used. The object is referenced, never changed. */
int block_parse(json_t *object, struct block **ret_block, struct err *err);
struct block *block_new(const struct mg_prefix *cidr, const char *affinity, __u64 now_ms);
void block_free(struct block *block);
DEFINE_CLEANUP(struct block *, block_free)
#define _cleanup_block_ _cleanup_(block_free_p)

/* A new object with the next sequence number. */
json_t *block_encode(const struct block *block);

bool block_contains(const struct block *block, const union mg_addr *addr,
		    unsigned int *ret_ordinal);
union mg_addr block_addr(const struct block *block, unsigned int ordinal);
bool block_is_of(const struct block *block, const char *node);
bool block_is_empty(const struct block *block); /* cooling counts as in use */

/* NULL: free or cooling. */
const char *block_handle(const struct block *block, unsigned int ordinal);
/* A text of the attribute's "secondary" (pod, namespace, node, ...); NULL: not there. */
const char *block_secondary(const struct block *block, unsigned int ordinal, const char *key);
bool block_is_cooling(const struct block *block, unsigned int ordinal);

/* Holds the ordinal for attr (a reference is taken); whatever it was before. */
void block_hold(struct block *block, unsigned int ordinal, json_t *attr);
/* Rests from now on; block_mature() frees it later. */
void block_cool(struct block *block, unsigned int ordinal, __u64 now_ms);
/* Free at once: for an address that no pod ever had. */
void block_give_back(struct block *block, unsigned int ordinal);
/* Frees what has rested for cooldown_ms; returns how many. */
unsigned int block_mature(struct block *block, __u64 now_ms, __u64 cooldown_ms);
/* Ordinal of the first free address for which skip() is false; -ENOSPC. */
typedef bool block_skip_fn(const void *arg, const union mg_addr *addr);
int block_next(const struct block *block, block_skip_fn *skip, const void *arg);
unsigned int block_count_free(const struct block *block, block_skip_fn *skip, const void *arg);

/* "10-244-0-0-26"; text has BLOCK_NAME_MAX; returns text. */
const char *block_name(const struct mg_prefix *cidr, char *text);

#endif
