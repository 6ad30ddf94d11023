/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One commit to the store: blocks with all that changes in them, and the IPAMHandle objects that
 * follow. Blocks are changed in the cache first; what the store did not take is read again before
 * it is used. Where the store is not atomic the order (handles that grow, blocks, handles that
 * end) leaves at worst a handle that counts too much.
 */
#ifndef MARGAY_IPAM_BATCH_H
#define MARGAY_IPAM_BATCH_H

#include "ipam/internal.h"

#define BATCH_BLOCKS_MAX 8
#define BATCH_HANDLES_MAX (COMMIT_OPS_MAX + 1)
#define BATCH_WRITES_MAX (2 * BATCH_HANDLES_MAX + BATCH_BLOCKS_MAX)

struct batch_block {
	struct cached_block *cached;
	bool dirty;
	bool written; /* by the commit */
	int write;    /* index into writes */
};

struct refill {
	struct cached_block *cached;
	unsigned int ordinal;
	bool pinned;
};

struct batch {
	struct ipam *ipam;
	struct batch_block blocks[BATCH_BLOCKS_MAX];
	size_t block_count;
	struct mg_prefix missing[BATCH_BLOCKS_MAX]; /* not in the store */
	size_t missing_count;
	union mg_addr ops[COMMIT_OPS_MAX]; /* entries that are in_batch */
	size_t op_count;
	struct refill refills[COMMIT_OPS_MAX];
	size_t refill_count;
	struct store_write writes[BATCH_WRITES_MAX];
	struct handle_note *notes[BATCH_WRITES_MAX]; /* of handle writes; NULL: a block */
	char *counts[BATCH_WRITES_MAX];
	size_t write_count;
	bool orphan; /* the instance was closed while the commit was on its way */
};

/* A batch is large: on the heap. Ends with batch_free(). */
struct batch *batch_new(struct ipam *ipam);
void batch_free(struct batch *batch);
DEFINE_CLEANUP(struct batch *, batch_free)

/* The block's place in the batch, read if need be. -ENOENT no such block; -ENOBUFS no room. */
int batch_block(struct batch *batch, const struct mg_prefix *cidr, struct batch_block **ret_block,
		struct err *err);
/* What the entry's state asks for. The entry may vanish. */
void batch_entry(struct batch *batch, struct batch_block *block, struct entry *entry);
/* The block has nothing of the entry any more. A release still has its handle to end. */
void batch_not_ours(struct batch *batch, struct entry *entry);
bool batch_is_missing(const struct batch *batch, const struct mg_prefix *cidr);
/* Holds up to count free addresses of the block for the reserve; how many it got. */
unsigned int batch_refill(struct batch *batch, struct batch_block *block, unsigned int count);
/* Holds one given address for the reserve, pinned. -EADDRINUSE, -EAGAIN: rests. */
int batch_refill_one(struct batch *batch, struct batch_block *block, unsigned int ordinal);
/* 1 written, 0 nothing to write, -ESTALE: somebody was faster, try again; -errno. */
int batch_commit(struct batch *batch, struct err *err);
/* The same behind the caller: 1 it is on its way (ipam->flight), 0 nothing to write. Takes batch.
 */
int batch_start(struct batch *batch, struct err *err);
/* The instance ends first. */
void batch_abandon(struct batch *batch);

/* Without a commit: what was changed in the cache is read again. */
void batch_spoil(struct batch *batch);

#endif
