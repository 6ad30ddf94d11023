/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a block, and the order in which its addresses are given out. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/utc.h"
#include "ipam/block.h"

/* Clocks of nodes differ; a release further ahead than this is a clock that was stepped. */
#define SKEW_MAX_MS 60000

static void fifo_remove(struct block *block, unsigned int ordinal)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < block->fifo_count; i++)
		if (block->fifo[i] != ordinal)
			block->fifo[kept++] = block->fifo[i];
	block->fifo_count = kept;
}

static void set_attr(struct block *block, unsigned int ordinal, json_t *attr)
{
	json_decref(block->attrs[ordinal]);
	block->attrs[ordinal] = attr;
}

/* One attribute for all equal ones, as the array of attributes is meant. */
static json_t *shared_attr(const struct block *block, json_t *attr)
{
	for (unsigned int i = 0; i < block->size; i++)
		if (block->attrs[i] && json_equal(block->attrs[i], attr))
			return block->attrs[i];
	return attr;
}

void block_hold(struct block *block, unsigned int ordinal, json_t *attr)
{
	json_t *shared = json_incref(shared_attr(block, attr));

	if (!block->attrs[ordinal])
		fifo_remove(block, ordinal);
	set_attr(block, ordinal, shared);
	block->sequences[ordinal] = block->sequence + 1;
}

void block_cool(struct block *block, unsigned int ordinal, __u64 now_ms)
{
	char text[UTC_TEXT_MAX];
	json_t *attr = json_pack("{s:s}", "releasedAt", utc_format(now_ms, text));

	block_hold(block, ordinal, attr);
	json_decref(attr);
}

void block_give_back(struct block *block, unsigned int ordinal)
{
	if (!block->attrs[ordinal])
		return;
	set_attr(block, ordinal, NULL);
	block->sequences[ordinal] = 0;
	block->fifo[block->fifo_count++] = ordinal;
}

static bool has_rested(__u64 released_ms, __u64 now_ms, __u64 cooldown_ms)
{
	if (released_ms > now_ms)
		return released_ms - now_ms > cooldown_ms + SKEW_MAX_MS;
	return now_ms - released_ms >= cooldown_ms;
}

struct rested {
	__u64 released_ms;
	unsigned int ordinal;
};

static int rested_cmp(const void *a, const void *b)
{
	const struct rested *left = a, *right = b;

	if (left->released_ms != right->released_ms)
		return left->released_ms < right->released_ms ? -1 : 1;
	return left->ordinal < right->ordinal ? -1 : left->ordinal > right->ordinal;
}

unsigned int block_mature(struct block *block, __u64 now_ms, __u64 cooldown_ms)
{
	_cleanup_free_ struct rested *list = xcalloc(block->size, sizeof(*list));
	unsigned int count = 0;

	for (unsigned int i = 0; i < block->size; i++) {
		__u64 released;

		if (!block_is_cooling(block, i))
			continue;
		released = utc_parse(
			json_string_value(json_object_get(block->attrs[i], "releasedAt")));
		if (has_rested(released, now_ms, cooldown_ms))
			list[count++] = (struct rested){ released, i };
	}
	qsort(list, count, sizeof(*list), rested_cmp);
	for (unsigned int i = 0; i < count; i++)
		block_give_back(block, list[i].ordinal);
	return count;
}

int block_next(const struct block *block, block_skip_fn *skip, const void *arg)
{
	for (unsigned int i = 0; i < block->fifo_count; i++) {
		union mg_addr addr = block_addr(block, block->fifo[i]);

		if (!skip || !skip(arg, &addr))
			return (int)block->fifo[i];
	}
	return -ENOSPC;
}

unsigned int block_count_free(const struct block *block, block_skip_fn *skip, const void *arg)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < block->fifo_count; i++) {
		union mg_addr addr = block_addr(block, block->fifo[i]);

		count += !skip || !skip(arg, &addr);
	}
	return count;
}
