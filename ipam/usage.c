/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/check.h"
#include "ipam/internal.h"

struct tally {
	double total, used, reserved, reserve, resting;
};

struct usage {
	struct pools *pools;
	struct tally *tallies; /* a pool */
	json_t **lists;	       /* a pool: its blocks */
	json_t *borrowed;
	__u64 now_ms;
};

static json_t *number(double value)
{
	return value < 9007199254740992.0 ? json_integer((json_int_t)value) : json_real(value);
}

static void put_tally(json_t *record, const struct tally *tally)
{
	double taken = tally->used + tally->reserved + tally->reserve + tally->resting;

	json_object_set_new(record, "total", number(tally->total));
	json_object_set_new(record, "inUse", number(tally->used));
	json_object_set_new(record, "reserved", number(tally->reserved));
	json_object_set_new(record, "reserve", number(tally->reserve));
	json_object_set_new(record, "resting", number(tally->resting));
	json_object_set_new(record, "free", number(tally->total - taken));
}

/* --- blocks ---------------------------------------------------------------------------------- */

static const char *owner_of(const struct block *block)
{
	const char *colon = block->affinity ? strchr(block->affinity, ':') : NULL;

	return colon ? colon + 1 : "";
}

static void note_borrowed(struct usage *usage, const struct block *block, unsigned int ordinal)
{
	const char *node = block_secondary(block, ordinal, "node");
	const char *pod = block_secondary(block, ordinal, "pod");
	const char *ns = block_secondary(block, ordinal, "namespace");
	union mg_addr addr = block_addr(block, ordinal);
	char text[ADDR_TEXT_MAX], cidr[PREFIX_TEXT_MAX];
	_cleanup_free_ char *to = NULL;

	if (!node || !strcmp(node, owner_of(block)))
		return;
	to = pod ? xasprintf("%s/%s", ns ? ns : "default", pod)
		 : xstrdup(block_handle(block, ordinal));
	json_array_append_new(usage->borrowed,
			      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ip",
					addr_format(&addr, text), "node", node, "block",
					prefix_format(&block->cidr, cidr), "owner", owner_of(block),
					"type", pod ? "workload" : "other", "allocatedTo", to));
}

static void count_ordinal(struct usage *usage, const struct block *block, unsigned int ordinal,
			  struct tally *tally)
{
	union mg_addr addr = block_addr(block, ordinal);
	const char *handle = block_handle(block, ordinal);

	if (handle && !strncmp(handle, RESERVE_HANDLE, strlen(RESERVE_HANDLE))) {
		tally->reserve++;
	} else if (handle) {
		tally->used++;
		note_borrowed(usage, block, ordinal);
	} else if (block->attrs[ordinal]) {
		tally->resting++;
	} else {
		tally->reserved += pools_is_reserved(usage->pools, &addr);
	}
}

static void add_tally(struct tally *sum, const struct tally *one)
{
	sum->used += one->used;
	sum->reserved += one->reserved;
	sum->reserve += one->reserve;
	sum->resting += one->resting;
}

static void count_block(struct usage *usage, json_t *object)
{
	char cidr[PREFIX_TEXT_MAX];
	struct tally tally = {};
	const struct pool *pool;
	struct block *block;
	union mg_addr first;
	json_t *record;

	if (block_parse(object, &block, NULL) < 0)
		return;
	first = block->cidr.addr;
	pool = pools_of(usage->pools, &first);
	block_mature(block, usage->now_ms, usage->pools->cooldown_ms);
	for (unsigned int i = 0; i < block->size; i++)
		count_ordinal(usage, block, i, &tally);
	tally.total = block->size;
	if (pool) {
		add_tally(&usage->tallies[pool - usage->pools->list], &tally);
		record = json_pack("{s:s, s:s}", "cidr", prefix_format(&block->cidr, cidr),
				   "affinity", block->affinity ? block->affinity : "");
		put_tally(record, &tally);
		json_array_append_new(usage->lists[pool - usage->pools->list], record);
	}
	block_free(block);
}

/* --- pools ----------------------------------------------------------------------------------- */

static double size_of(const struct mg_prefix *cidr)
{
	double size = 1;

	for (__u32 i = cidr->len; i < MG_ADDR_BITS; i++)
		size *= 2;
	return size;
}

/* Reserved addresses of the pool outside its blocks, as far as whole prefixes tell. */
static double reserved_outside(const struct usage *usage, const struct pool *pool)
{
	double sum = 0;

	for (size_t i = 0; i < usage->pools->reserved_count; i++) {
		const struct mg_prefix *one = &usage->pools->reserved[i];

		if (!prefix_overlaps(one, &pool->cidr))
			continue;
		sum += size_of(one->len > pool->cidr.len ? one : &pool->cidr);
	}
	return sum;
}

/* What lies in blocks was counted there, address by address. */
static double reserved_in_blocks(const struct usage *usage, const json_t *blocks)
{
	const json_t *record;
	double sum = 0;
	size_t i;

	json_array_foreach(blocks, i, record) {
		struct mg_prefix cidr;

		if (prefix_parse(json_text_or(record, "cidr", ""), false, &cidr) < 0)
			continue;
		for (size_t j = 0; j < usage->pools->reserved_count; j++) {
			const struct mg_prefix *one = &usage->pools->reserved[j];

			if (prefix_overlaps(one, &cidr))
				sum += size_of(one->len > cidr.len ? one : &cidr);
		}
	}
	return sum;
}

static json_t *pool_record(struct usage *usage, size_t index)
{
	const struct pool *pool = &usage->pools->list[index];
	struct tally *tally = &usage->tallies[index];
	char cidr[PREFIX_TEXT_MAX];
	json_t *record = json_pack("{s:s, s:s, s:O}", "name", pool->name, "cidr",
				   prefix_format(&pool->cidr, cidr), "blocks", usage->lists[index]);
	double outside =
		reserved_outside(usage, pool) - reserved_in_blocks(usage, usage->lists[index]);

	tally->total = size_of(&pool->cidr);
	tally->reserved += outside > 0 ? outside : 0;
	put_tally(record, tally);
	return record;
}

json_t *ipam_usage(const struct ipam_objects *objects, __u64 now_ms)
{
	_cleanup_json_ json_t *source =
		json_pack("{s:O*, s:O*, s:O*}", "pools", objects->pools, "reservations",
			  objects->reservations, "configurations", objects->configurations);
	struct usage usage = { .pools = pools_new(source), .borrowed = json_array() };
	json_t *pools = json_array(), *object;
	size_t i;

	usage.now_ms = now_ms;
	usage.tallies = xcalloc(usage.pools->count + 1, sizeof(*usage.tallies));
	usage.lists = xcalloc(usage.pools->count + 1, sizeof(*usage.lists));
	for (i = 0; i < usage.pools->count; i++)
		usage.lists[i] = json_array();
	json_array_foreach(objects->blocks, i, object)
		count_block(&usage, object);
	for (i = 0; i < usage.pools->count; i++) {
		json_array_append_new(pools, pool_record(&usage, i));
		json_decref(usage.lists[i]);
	}
	free(usage.tallies);
	free(usage.lists);
	pools_free(usage.pools);
	return json_pack("{s:o, s:o}", "pools", pools, "borrowed", usage.borrowed);
}

json_t *ipam_lookup(const json_t *blocks, const union mg_addr *addr)
{
	json_t *object, *answer = NULL;
	size_t i;

	json_array_foreach(blocks, i, object) {
		char text[ADDR_TEXT_MAX], cidr[PREFIX_TEXT_MAX];
		struct block *block;
		unsigned int n;

		if (answer || block_parse(object, &block, NULL) < 0)
			continue;
		if (block_contains(block, addr, &n))
			answer = json_pack("{s:s, s:s, s:s*, s:O*}", "ip", addr_format(addr, text),
					   "block", prefix_format(&block->cidr, cidr), "handle",
					   block_handle(block, n), "attributes",
					   json_object_get(block->attrs[n], "secondary"));
		block_free(block);
	}
	return answer;
}
