/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/batch.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"

struct batch *batch_new(struct ipam *ipam)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));

	batch->ipam = ipam;
	return batch;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	for (size_t i = 0; i < batch->op_count; i++) {
		struct entry *entry = entry_find(batch->ipam, &batch->ops[i]);

		if (entry)
			entry->in_batch = false;
	}
	for (size_t i = 0; i < batch->write_count; i++) {
		json_decref((json_t *)batch->writes[i].object);
		free(batch->counts[i]);
	}
	free(batch);
}

int batch_block(struct batch *batch, const struct mg_prefix *cidr, struct batch_block **ret_block,
		struct err *err)
{
	struct cached_block *cached;
	int r;

	for (size_t i = 0; i < batch->block_count; i++)
		if (!memcmp(&batch->blocks[i].cached->cidr, cidr, sizeof(*cidr))) {
			*ret_block = &batch->blocks[i];
			return 0;
		}
	if (batch->block_count == BATCH_BLOCKS_MAX)
		return -ENOBUFS;
	r = read_block(batch->ipam, cidr, &cached, err);
	if (r == -ENOENT && batch->missing_count < BATCH_BLOCKS_MAX)
		batch->missing[batch->missing_count++] = *cidr;
	if (r < 0)
		return r;
	*ret_block = &batch->blocks[batch->block_count++];
	**ret_block = (struct batch_block){ .cached = cached, .write = -1 };
	return 0;
}

bool batch_is_missing(const struct batch *batch, const struct mg_prefix *cidr)
{
	for (size_t i = 0; i < batch->missing_count; i++)
		if (!memcmp(&batch->missing[i], cidr, sizeof(*cidr)))
			return true;
	return false;
}

/* --- changes --------------------------------------------------------------------------------- */

static bool has_handle(const struct block *block, unsigned int ordinal, const char *handle)
{
	const char *have = block_handle(block, ordinal);

	return have && !strcmp(have, handle);
}

/* True if the ordinal is held by another than this node for this entry. A pod that really runs
 * (TAKEN) comes before what this node noted earlier. */
static bool is_others(const struct batch *batch, const struct block *block, unsigned int ordinal,
		      const struct entry *entry)
{
	if (entry->state == ENTRY_TAKEN && block->attrs[ordinal] &&
	    is_mine(batch->ipam, block, ordinal))
		return false;
	return block->attrs[ordinal] && !block_is_cooling(block, ordinal) &&
	       !has_handle(block, ordinal, batch->ipam->reserve_handle) &&
	       !has_handle(block, ordinal, entry_handle(entry));
}

static void add_op(struct batch *batch, struct entry *entry)
{
	entry->in_batch = true;
	handle_touch(batch->ipam, entry_handle(entry), entry->state != ENTRY_TAKEN);
	handle_touch(batch->ipam, batch->ipam->reserve_handle, false);
	batch->ops[batch->op_count++] = entry->addr;
}

static void change_block(struct batch *batch, struct block *block, unsigned int ordinal,
			 const struct entry *entry)
{
	struct ipam *ipam = batch->ipam;

	switch (entry->state) {
	case ENTRY_TAKEN:
		/* Whoever the journal forgot. */
		if (block_handle(block, ordinal))
			handle_touch(ipam, block_handle(block, ordinal), true);
		block_hold(block, ordinal, entry->attr);
		break;
	case ENTRY_RELEASING:
		block_cool(block, ordinal, ipam->now(ipam->now_arg));
		break;
	case ENTRY_UNRESERVING:
		block_give_back(block, ordinal);
		break;
	case ENTRY_RESERVE:
	case ENTRY_LIVE:
		break;
	}
}

void batch_not_ours(struct batch *batch, struct entry *entry)
{
	if (entry->state == ENTRY_RELEASING) {
		if (batch->op_count < COMMIT_OPS_MAX)
			add_op(batch, entry);
		return;
	}
	batch->ipam->conflicts += entry->state == ENTRY_TAKEN;
	handle_touch(batch->ipam, entry_handle(entry), true);
	entry_drop(batch->ipam, entry);
}

void batch_entry(struct batch *batch, struct batch_block *at, struct entry *entry)
{
	struct block *block = at->cached->block;
	unsigned int ordinal;
	bool free_now;

	if (batch->op_count == COMMIT_OPS_MAX || !block_contains(block, &entry->addr, &ordinal))
		return;
	free_now = !block->attrs[ordinal] || block_is_cooling(block, ordinal);
	if (is_others(batch, block, ordinal, entry) || (free_now && entry->state != ENTRY_TAKEN)) {
		batch_not_ours(batch, entry);
		return;
	}
	change_block(batch, block, ordinal, entry);
	at->dirty = true;
	add_op(batch, entry);
}

static void add_refill(struct batch *batch, struct batch_block *at, unsigned int ordinal,
		       bool pinned)
{
	json_t *attr = reserve_attr(batch->ipam);

	block_hold(at->cached->block, ordinal, attr);
	json_decref(attr);
	handle_touch(batch->ipam, batch->ipam->reserve_handle, false);
	at->dirty = true;
	batch->refills[batch->refill_count++] = (struct refill){ at->cached, ordinal, pinned };
}

unsigned int batch_refill(struct batch *batch, struct batch_block *at, unsigned int count)
{
	struct ipam *ipam = batch->ipam;
	unsigned int done = 0;

	block_mature(at->cached->block, ipam->now(ipam->now_arg), ipam->pools->cooldown_ms);
	while (done < count && batch->refill_count < COMMIT_OPS_MAX) {
		int n = block_next(at->cached->block, is_unusable, ipam);

		if (n < 0)
			break;
		add_refill(batch, at, (unsigned int)n, false);
		done++;
	}
	return done;
}

int batch_refill_one(struct batch *batch, struct batch_block *at, unsigned int ordinal)
{
	struct block *block = at->cached->block;
	struct ipam *ipam = batch->ipam;

	block_mature(block, ipam->now(ipam->now_arg), IPAM_COOLDOWN_MIN_MS);
	if (block_is_cooling(block, ordinal))
		return -EAGAIN;
	if (block->attrs[ordinal])
		return -EADDRINUSE;
	add_refill(batch, at, ordinal, true);
	return 0;
}

/* --- writes ---------------------------------------------------------------------------------- */

static struct store_write *add_write(struct batch *batch, enum store_op op, json_t *object)
{
	struct store_write *write = &batch->writes[batch->write_count++];

	*write = (struct store_write){ .op = op, .object = object };
	return write;
}

static bool counts_reserve(const struct batch *batch, const struct handle_note *note)
{
	return !strcmp(note->id, batch->ipam->reserve_handle);
}

static json_t *counts_after(struct batch *batch, const struct handle_note *note)
{
	json_t *counts = handle_counts(batch->ipam, note->id);

	for (size_t i = 0; counts_reserve(batch, note) && i < batch->refill_count; i++)
		handle_count_one(counts, &batch->refills[i].cached->cidr);
	return counts;
}

static void add_handle_write(struct batch *batch, struct handle_note *note, json_t *counts)
{
	char *text = json_dumps(counts, JSON_COMPACT | JSON_SORT_KEYS);
	bool same = note->stored && note->counts && !strcmp(note->counts, text);

	note->dirty &= !same;
	if (same || batch->write_count >= BATCH_HANDLES_MAX) {
		free(text);
		return;
	}
	batch->notes[batch->write_count] = note;
	batch->counts[batch->write_count] = text;
	note->touched = false;
	add_write(batch, note->stored ? STORE_UPDATE : STORE_CREATE,
		  handle_object(note->id, counts));
}

/* Handles that have addresses: before the blocks. */
static void add_handles(struct batch *batch)
{
	struct handle_note *note, *next;

	HASH_ITER(hh, batch->ipam->handles, note, next) {
		json_t *counts = note->dirty ? counts_after(batch, note) : NULL;

		if (json_object_size(counts))
			add_handle_write(batch, note, counts);
		json_decref(counts);
	}
}

static void add_handle_end(struct batch *batch, struct handle_note *note)
{
	note->dirty &= note->stored;
	if (!note->stored || batch->write_count == BATCH_WRITES_MAX)
		return;
	handle_name(note->id, note->name);
	batch->notes[batch->write_count] = note;
	note->touched = false;
	add_write(batch, STORE_DELETE, NULL)->key = (struct store_key){
		.kind = store_kind_find(CALICO_V3, "IPAMHandle"),
		.name = note->name,
	};
}

/* Handles that have none any more: after the blocks. */
static void add_handle_ends(struct batch *batch)
{
	struct handle_note *note, *next;

	HASH_ITER(hh, batch->ipam->handles, note, next) {
		json_t *counts = note->dirty ? counts_after(batch, note) : NULL;

		if (counts && !json_object_size(counts))
			add_handle_end(batch, note);
		json_decref(counts);
	}
}

static void add_blocks(struct batch *batch)
{
	for (size_t i = 0; i < batch->block_count; i++) {
		struct batch_block *at = &batch->blocks[i];

		if (!at->dirty)
			continue;
		at->write = (int)batch->write_count;
		add_write(batch, STORE_UPDATE, block_encode(at->cached->block));
	}
}

/* --- results --------------------------------------------------------------------------------- */

static void handle_result(struct batch *batch, size_t i)
{
	struct store_write *write = &batch->writes[i];
	struct handle_note *note = batch->notes[i];

	free(note->counts);
	note->counts = NULL;
	if (write->result == -EEXIST) {
		note->stored = true;
	} else if (write->result == -ENOENT) {
		note->stored = false;
	} else if (store_unreachable(write->result)) {
		note->guessed = true;
	} else if (!write->result) {
		note->stored = write->op != STORE_DELETE;
		note->counts = TAKE_PTR(batch->counts[i]);
		note->dirty = note->touched;
	}
}

static bool is_written(const struct batch *batch, const struct entry *entry)
{
	for (size_t i = 0; i < batch->block_count; i++) {
		const struct batch_block *at = &batch->blocks[i];

		if (!memcmp(&at->cached->cidr, &entry->block, sizeof(entry->block)))
			return !at->dirty || at->written;
	}
	return batch_is_missing(batch, &entry->block);
}

static bool is_handle_ended(const struct batch *batch, const struct entry *entry)
{
	struct handle_note *note;

	HASH_FIND_STR(batch->ipam->handles, entry_handle(entry), note);
	return !note || !note->dirty;
}

/* A release is over when its handle is, too: nobody else would ever look for it. */
static void finish_entries(struct batch *batch)
{
	for (size_t i = 0; i < batch->op_count; i++) {
		struct entry *entry = entry_find(batch->ipam, &batch->ops[i]);

		if (!entry || !entry->in_batch || !is_written(batch, entry))
			continue;
		entry->in_batch = false;
		if (entry->state == ENTRY_TAKEN)
			entry_set(batch->ipam, entry, ENTRY_LIVE, NULL);
		else if (entry->state == ENTRY_UNRESERVING || is_handle_ended(batch, entry))
			entry_drop(batch->ipam, entry);
	}
}

static void finish_refills(struct batch *batch, const struct cached_block *cached)
{
	struct ipam *ipam = batch->ipam;

	for (size_t i = 0; i < batch->refill_count; i++) {
		struct refill *refill = &batch->refills[i];
		struct entry like = { .state = ENTRY_RESERVE, .block = cached->cidr };
		const struct pool *pool;

		if (refill->cached != cached)
			continue;
		like.addr = block_addr(cached->block, refill->ordinal);
		like.attr = cached->block->attrs[refill->ordinal];
		pool = pools_of(ipam->pools, &like.addr);
		like.pool = (char *)(pool ? pool->name : "");
		entry_add(ipam, &like)->pinned = refill->pinned;
	}
}

static void block_result(struct batch *batch, struct batch_block *at)
{
	struct store_write *write = &batch->writes[at->write];
	struct block *block = at->cached->block;

	if (write->result || !write->stored) {
		at->cached->stale = true;
		return;
	}
	json_decref(block->object);
	block->object = json_incref(write->stored);
	block->sequence++;
	at->written = true;
	finish_refills(batch, at->cached);
}

void batch_spoil(struct batch *batch)
{
	for (size_t i = 0; i < batch->block_count; i++)
		batch->blocks[i].cached->stale |= batch->blocks[i].dirty;
}

static bool is_conflict(int r)
{
	return r == -ESTALE || r == -EEXIST || r == -ENOENT || r == -ECANCELED;
}

/* 1: writes are there; 0: nothing is to be written, what is asked for is so already. */
static int make_writes(struct batch *batch, struct err *err)
{
	int r = handles_look(batch->ipam, err);

	if (r < 0) {
		batch_spoil(batch);
		return r;
	}
	add_handles(batch);
	add_blocks(batch);
	add_handle_ends(batch);
	if (batch->write_count)
		return 1;
	finish_entries(batch);
	handles_prune(batch->ipam);
	return 0;
}

static int take_results(struct batch *batch, int r)
{
	for (size_t i = 0; i < batch->write_count; i++)
		if (batch->notes[i])
			handle_result(batch, i);
	for (size_t i = 0; i < batch->block_count; i++)
		if (batch->blocks[i].write >= 0)
			block_result(batch, &batch->blocks[i]);
	finish_entries(batch);
	store_writes_done(batch->writes, batch->write_count);
	handles_prune(batch->ipam);
	return is_conflict(r) ? -ESTALE : r < 0 ? r : 1;
}

int batch_commit(struct batch *batch, struct err *err)
{
	int r = make_writes(batch, err);

	if (r <= 0)
		return r;
	r = store_commit(batch->ipam->store, batch->writes, batch->write_count, err);
	return take_results(batch, r);
}

static void on_written(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *arg)
{
	_cleanup_(batch_free_p) struct batch *batch = arg;
	struct ipam *ipam = batch->ipam;
	int r;

	if (batch->orphan) {
		store_writes_done(writes, count);
		return;
	}
	ipam->flight = NULL;
	r = take_results(batch, result);
	ipam_reached(ipam, r == -ESTALE ? 0 : r, err);
	ipam->wake(ipam->wake_arg);
}

int batch_start(struct batch *batch, struct err *err)
{
	struct ipam *ipam = batch->ipam;
	int r = make_writes(batch, err);

	if (r <= 0) {
		batch_free(batch);
		return r;
	}
	ipam->flight = batch;
	store_commit_async(ipam->store, batch->writes, batch->write_count, on_written, batch);
	return 1;
}

void batch_abandon(struct batch *batch)
{
	if (!batch)
		return;
	batch->op_count = 0;
	batch->orphan = true;
}
