/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What governs allocation: IPPool, IPReservation and IPAMConfiguration, decoded together, and the
 * choice of pools for a request. Immutable once made; no store access.
 * Source: projectcalico.org/v3; the rules of choice are those of Calico's IPAM.
 */
#ifndef MARGAY_IPAM_POOLS_H
#define MARGAY_IPAM_POOLS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "abi/addr.h"
#include "base/cleanup.h"
#include "ipam/ipam.h"

struct selector;

#define POOLS_MAX 1024
#define RESERVATIONS_MAX 4096
#define MAX_BLOCKS_DEFAULT 20 /* maxBlocksPerHost 0 */

enum pool_use { POOL_WORKLOAD = 1, POOL_TUNNEL = 2, POOL_LOAD_BALANCER = 4 };

struct pool {
	const char *name;
	const char *created; /* creationTimestamp; "": not known */
	struct mg_prefix cidr;
	__u32 block_len; /* prefix length of its blocks, in 128 bits */
	bool v4;
	bool disabled;	   /* also: being deleted, not allocatable, or what does not decode */
	bool behind;	   /* overlaps with an older pool: not in force, and disabled too */
	bool manual;	   /* assignmentMode */
	unsigned int uses; /* enum pool_use */
	const struct selector *node_selector; /* never NULL */
	const struct selector *ns_selector;   /* NULL: any */
};

struct pools {
	struct arena *arena;
	struct pool *list; /* by name */
	size_t count;
	struct mg_prefix *reserved;
	size_t reserved_count;
	bool strict_affinity;
	bool auto_blocks;
	unsigned int max_blocks; /* a node and family */
	__u64 cooldown_ms;	 /* at least IPAM_COOLDOWN_MIN_MS */
	json_t *source;		 /* {"pools":[], "reservations":[], "configurations":[]} */
};

/* source is referenced. A pool that does not decode counts as disabled. Never fails. */
struct pools *pools_new(json_t *source);
void pools_free(struct pools *pools);
DEFINE_CLEANUP(struct pools *, pools_free)
#define _cleanup_pools_ _cleanup_(pools_free_p)

const struct pool *pools_find(const struct pools *pools, const char *name);
/* The pool that contains addr, enabled or not, of several the one in force; NULL. */
const struct pool *pools_of(const struct pools *pools, const union mg_addr *addr);
/* block_skip_fn with a struct pools. */
bool pools_is_reserved(const void *pools, const union mg_addr *addr);

struct pool_question {
	enum pool_use use;
	bool v4;
	const char *lists[3]; /* JSON arrays, most particular first; NULL: not given */
	const struct ipam_labels *node_labels;
	const struct ipam_labels *ns_labels; /* NULL: namespaceSelector does not count */
};

#define CHOICE_MAX 64

/* Pools in the order in which they are tried. -ENOENT none, -EINVAL a list cannot be read. */
int pools_choose(const struct pools *pools, const struct pool_question *question,
		 const struct pool *ret_pools[CHOICE_MAX], size_t *ret_count, struct err *err);
/* May this node use the pool without being told to? */
bool pool_selects_node(const struct pool *pool, const struct ipam_labels *labels);

#endif
