/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed addresses. Each is claimed for the reserve by its own write and pinned to requests that
 * ask for it; from there ADD takes it like any other.
 */
#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/inet.h"
#include "base/json.h"
#include "ipam/batch.h"

#define RETRY_MS 200 /* while an address rests or is on its way */

static bool is_others_reserve(const struct ipam *ipam, const char *handle)
{
	return handle && !strncmp(handle, RESERVE_HANDLE, strlen(RESERVE_HANDLE)) &&
	       strcmp(handle, ipam->reserve_handle) != 0;
}

/* Who holds the ordinal, as a sentence for the one who asked for it. */
static int say_held(const struct ipam *ipam, const struct block *block, unsigned int ordinal,
		    struct err *err)
{
	union mg_addr addr = block_addr(block, ordinal);
	const char *handle = block_handle(block, ordinal);
	const char *pod = block_secondary(block, ordinal, "pod");
	const char *node = block_secondary(block, ordinal, "node");
	const char *ns = block_secondary(block, ordinal, "namespace");
	char text[ADDR_TEXT_MAX];

	addr_format(&addr, text);
	if (!handle)
		return err_set(err, -EAGAIN, "fixed address %s was released a moment ago", text);
	if (is_others_reserve(ipam, handle))
		return err_set(err, -EAGAIN, "fixed address %s is in the reserve of node %s", text,
			       handle + strlen(RESERVE_HANDLE));
	if (pod)
		return err_set(err, -EADDRINUSE, "fixed address %s belongs to pod %s/%s on node %s",
			       text, ns ? ns : "default", pod, node ? node : "?");
	return err_set(err, -EADDRINUSE, "fixed address %s belongs to %s", text, handle);
}

/* Asks the node that holds the address ahead of need to give it back: only that node knows whether
 * a pod has it meanwhile. It sees the mark when its watch tells of the block. */
static void ask_for(struct ipam *ipam, struct cached_block *cached, unsigned int ordinal)
{
	_cleanup_json_ json_t *attr = json_deep_copy(cached->block->attrs[ordinal]);
	_cleanup_json_ json_t *object = NULL;
	json_t *secondary = json_object_get(attr, "secondary");

	if (!secondary || json_object_get(secondary, WANTED))
		return;
	json_object_set_new(secondary, WANTED, json_string(ipam->node));
	block_hold(cached->block, ordinal, attr);
	object = block_encode(cached->block);
	cached->stale = true;
	/* Refused or lost: the next try asks again. */
	put_object(ipam, STORE_UPDATE, object, NULL, NULL);
}

static const struct pool *fixed_pool(const struct ipam *ipam, const union mg_addr *addr,
				     struct err *err)
{
	const struct pool *pool = pools_of(ipam->pools, addr);
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	if (!pool)
		err_set(err, -EADDRNOTAVAIL, "fixed address %s lies in no pool", text);
	else if (pool->disabled)
		err_set(err, -EADDRNOTAVAIL, "fixed address %s: pool %s is disabled", text,
			pool->name);
	else if (!(pool->uses & POOL_WORKLOAD))
		err_set(err, -EADDRNOTAVAIL, "fixed address %s: pool %s is not for workloads", text,
			pool->name);
	else
		return pool;
	return NULL;
}

static struct mg_prefix fixed_block(const struct pool *pool, const union mg_addr *addr)
{
	struct mg_prefix cidr = { .len = pool->block_len, .addr = *addr };

	prefix_mask(&cidr);
	return cidr;
}

/* The block in the cache; made, if it does not exist and this node may have it. */
static int open_block(struct ipam *ipam, const struct pool *pool, const struct mg_prefix *cidr,
		      struct err *err)
{
	struct cached_block *cached = cached_find(ipam, cidr);
	char text[PREFIX_TEXT_MAX];
	int r;

	/* Who holds the address is another's business: only a fresh look tells. */
	if (cached)
		cached->stale = true;
	r = read_block(ipam, cidr, &cached, err);
	if (r != -ENOENT)
		return r;
	if (!may_claim(ipam, pool))
		return err_set(err, -EADDRNOTAVAIL,
			       "block %s: this node may not claim another block",
			       prefix_format(cidr, text));
	r = claim_block(ipam, cidr, &cached, err);
	return r == -EEXIST ? -ESTALE : r;
}

/* Claims one address that is not an entry of ours. */
static int claim_fixed(struct ipam *ipam, const union mg_addr *addr, struct err *err)
{
	const struct pool *pool = fixed_pool(ipam, addr, err);
	_cleanup_(batch_free_p) struct batch *batch = batch_new(ipam);
	char text[ADDR_TEXT_MAX];
	struct batch_block *at;
	struct mg_prefix cidr;
	unsigned int ordinal;
	int r;

	if (!pool)
		return err->code;
	cidr = fixed_block(pool, addr);
	r = open_block(ipam, pool, &cidr, err);
	if (!r)
		r = batch_block(batch, &cidr, &at, err);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	if (ipam->pools->strict_affinity && !block_is_of(at->cached->block, ipam->node))
		return err_set(
			err, -EADDRNOTAVAIL,
			"fixed address %s: its block belongs to %s and strictAffinity is set",
			addr_format(addr, text),
			at->cached->block->affinity ? at->cached->block->affinity : "no node");
	block_contains(at->cached->block, addr, &ordinal);
	/* Reading may just have shown that it is ours. */
	if (entry_find(ipam, addr))
		return 0;
	if (batch_refill_one(batch, at, ordinal) < 0) {
		r = say_held(ipam, at->cached->block, ordinal, err);
		if (is_others_reserve(ipam, block_handle(at->cached->block, ordinal)))
			ask_for(ipam, at->cached, ordinal);
		return r;
	}
	r = batch_commit(batch, err);
	return r > 0 ? 0 : r;
}

/* 0: it is an entry that the request may take; -EAGAIN: not yet. */
static int prepare(struct ipam *ipam, const struct request *request, const union mg_addr *addr,
		   struct err *err)
{
	struct entry *entry = entry_find(ipam, addr);
	char text[ADDR_TEXT_MAX];

	if (!entry)
		return claim_fixed(ipam, addr, err);
	addr_format(addr, text);
	switch (entry->state) {
	case ENTRY_RESERVE:
		entry->pinned = true;
		return 0;
	case ENTRY_RELEASING:
		if (!strcmp(entry_handle(entry), request->handle))
			return 0;
		return err_set(err, -EAGAIN, "fixed address %s is being released", text);
	case ENTRY_UNRESERVING:
		return err_set(err, -EAGAIN, "fixed address %s is on its way", text);
	case ENTRY_TAKEN:
	case ENTRY_LIVE:
		break;
	}
	return err_set(err, -EADDRINUSE, "fixed address %s belongs to %s on this node", text,
		       entry_handle(entry));
}

static bool is_final(int r)
{
	return r == -EADDRINUSE || r == -EADDRNOTAVAIL || r == -EINVAL;
}

/* Negative: the store is out of reach. */
static int serve_one(struct ipam *ipam, struct request *request, struct err *err)
{
	__u64 age = ipam->now(ipam->now_arg) - request->since_ms;
	struct err why = {};
	int r = 0;

	for (size_t i = 0; i < request->fixed_count && !r; i++) {
		r = prepare(ipam, request, &request->fixed[i], &why);
		for (int tries = 0; r == -ESTALE && tries < COMMIT_TRIES; tries++)
			r = prepare(ipam, request, &request->fixed[i], &why);
	}
	if (!r)
		return 0;
	if (is_final(r) || (r == -EAGAIN && age >= FIXED_WAIT_MS)) {
		ack_from(ipam, request, &why);
		return 0;
	}
	ipam->fixed_wait = RETRY_MS;
	if (r == -EAGAIN || r == -ESTALE)
		return 0;
	*err = why;
	return r;
}

int serve_fixed(struct ipam *ipam, struct err *err)
{
	struct request *request, *next;
	int r = 0;

	ipam->fixed_wait = -1;
	if (ipam->distrust)
		return 0;
	DL_FOREACH_SAFE(ipam->requests, request, next) {
		if (request->fixed_count && !request->bad.code && r >= 0)
			r = serve_one(ipam, request, err);
	}
	return r;
}
