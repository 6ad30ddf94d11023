/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works off the queue of requests from the reserve, makes it durable with one fsync, and answers.
 */
#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "ipam/internal.h"

/* --- answers --------------------------------------------------------------------------------- */

struct ack *ack_add(struct ipam *ipam, ipam_done_fn *done, void *arg)
{
	struct ack *ack = xcalloc(1, sizeof(*ack));

	ack->done = done;
	ack->arg = arg;
	DL_APPEND(ipam->acks, ack);
	return ack;
}

void ack_addr(struct ipam *ipam, struct ack *ack, const struct entry *entry)
{
	struct ipam_result *result = &ack->result;
	size_t at = result->count;

	if (result->count == IPAM_ADDRS_MAX)
		return;
	for (; at && addr_is4(&entry->addr) && !addr_is4(&result->addrs[at - 1].addr); at--)
		result->addrs[at] = result->addrs[at - 1];
	result->addrs[at] = (struct ipam_addr){
		.addr = entry->addr,
		.block = entry->block,
		.borrowed = cached_find(ipam, &entry->block) && !is_own(ipam, &entry->block),
	};
	snprintf(result->addrs[at].pool, sizeof(result->addrs[at].pool), "%s", entry->pool);
	result->count++;
}

/* Answers with a failure (err) or, without err, leaves the result to the caller's ack_addr(). */
struct ack *ack_from(struct ipam *ipam, struct request *request, const struct err *err)
{
	struct ack *ack = ack_add(ipam, request->done, request->arg);

	if (err) {
		ack->result.err = *err;
		ack->result.status = err->code;
	}
	request_free(ipam, request);
	return ack;
}

/* --- from the reserve ------------------------------------------------------------------------ */

static void note_shortage(struct ipam *ipam, struct pool_note *note, const struct pool *pool)
{
	unsigned int most = pool_target_max(ipam, pool);

	note->short_ms = ipam->now(ipam->now_arg);
	note->target = note->target * 2 > most ? most : note->target * 2;
}

static struct entry *oldest_reserve(struct ipam *ipam, const char *pool)
{
	struct entry *entry, *next, *best = NULL;

	HASH_ITER(hh, ipam->entries, entry, next) {
		if (entry->state != ENTRY_RESERVE || entry->pinned ||
		    strcmp(entry->pool, pool) != 0 || pools_is_reserved(ipam->pools, &entry->addr))
			continue;
		if (!best || entry->order < best->order)
			best = entry;
	}
	return best;
}

static int say_exhausted(const struct pool *const *list, size_t count, struct err *err)
{
	size_t used;

	err_set(err, -ENOSPC, "no free address in pool%s", count > 1 ? "s" : "");
	for (size_t i = 0; i < count; i++) {
		char cidr[PREFIX_TEXT_MAX];

		used = strlen(err->text);
		snprintf(err->text + used, sizeof(err->text) - used, "%s %s (%s)", i ? "," : "",
			 list[i]->name, prefix_format(&list[i]->cidr, cidr));
	}
	return -ENOSPC;
}

static int say_down(const struct ipam *ipam, struct err *err)
{
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "%s", err->text);
	return err_set(err, -EAGAIN, "%s%sstore out of reach: %.200s", text, *text ? "; " : "",
		       ipam->down_err.text);
}

/* 1: ret_entry; 0: wait for the store; -errno: none. */
static int pick(struct ipam *ipam, const struct pool *const *list, size_t count,
		const struct request *request, struct entry **ret_entry)
{
	for (size_t i = 0; i < count; i++) {
		struct pool_note *note = pool_note(ipam, list[i]->name);
		struct entry *entry = oldest_reserve(ipam, list[i]->name);

		note->used_ms = ipam->now(ipam->now_arg);
		if (entry) {
			if (count_state(ipam, list[i]->name, ENTRY_RESERVE) <= note->target / 4)
				note_shortage(ipam, note, list[i]);
			*ret_entry = entry;
			return 1;
		}
		if (is_down(ipam) || note->searched > request->round)
			continue;
		note->demand++;
		return 0;
	}
	return -ENOSPC;
}

static int pick_family(struct ipam *ipam, const struct request *request, bool v4,
		       struct entry **ret_entry, struct err *err)
{
	struct ipam_labels ns = { request->ns_labels, request->ns_count };
	struct pool_question question = {
		.use = request->use,
		.v4 = v4,
		.node_labels = &ipam->labels,
		.ns_labels = request->use == POOL_TUNNEL ? NULL : &ns,
	};
	const struct pool *list[CHOICE_MAX];
	size_t count;
	int r;

	for (int i = 0; i < 3; i++)
		question.lists[i] = request->lists[!v4][i];
	r = pools_choose(ipam->pools, &question, list, &count, err);
	if (r < 0)
		return r;
	r = pick(ipam, list, count, request, ret_entry);
	if (r == -ENOSPC) {
		say_exhausted(list, count, err);
		r = is_down(ipam) ? say_down(ipam, err) : -ENOSPC;
	}
	return r;
}

static bool names_pools(const struct request *request, int f)
{
	return request->lists[f][0] || request->lists[f][1] || request->lists[f][2];
}

/* Picks one entry of each family wanted: 1 all there, 0 wait, -errno. */
static int pick_all(struct ipam *ipam, const struct request *request, struct entry *ret_entries[2],
		    struct err *err)
{
	bool wait = false;

	for (int f = 0; f < 2; f++) {
		int r;

		if (request->families != IPAM_AUTO &&
		    !(request->families & (f ? IPAM_V6 : IPAM_V4)))
			continue;
		r = pick_family(ipam, request, !f, &ret_entries[f], err);
		if (r == -ENOENT && request->families == IPAM_AUTO && !names_pools(request, f))
			continue;
		if (r < 0)
			return r;
		wait |= !r;
	}
	if (wait)
		return 0;
	if (!ret_entries[0] && !ret_entries[1])
		return -ENOENT;
	err->code = 0;
	return 1;
}

static void take(struct ipam *ipam, struct request *request, struct entry *const entries[2])
{
	_cleanup_free_ char *handle = xstrdup(request->handle);
	json_t *attr = owner_attr(ipam, handle, request->secondary);
	struct ack *ack = ack_from(ipam, request, NULL);

	for (int f = 0; f < 2; f++) {
		if (!entries[f])
			continue;
		entries[f]->pinned = false;
		entry_set(ipam, entries[f], ENTRY_TAKEN, attr);
		ack_addr(ipam, ack, entries[f]);
		ack->taken[ack->taken_count++] = entries[f]->addr;
	}
	handle_touch(ipam, handle, false);
	json_decref(attr);
}

static bool serve_held(struct ipam *ipam, struct request *request)
{
	const char *ifname = json_string_value(json_object_get(request->secondary, "interface"));
	struct entry *entry, *next;
	struct ack *ack = NULL;

	HASH_ITER(hh, ipam->entries, entry, next) {
		if (entry->state != ENTRY_TAKEN && entry->state != ENTRY_LIVE)
			continue;
		if (!entry_is_of(entry, request->handle, ifname ? ifname : "eth0"))
			continue;
		if (!ack)
			ack = ack_add(ipam, request->done, request->arg);
		ack_addr(ipam, ack, entry);
	}
	if (ack)
		request_free(ipam, request);
	return ack;
}

static bool is_free_for(const struct entry *entry, const struct request *request)
{
	const char *ifname = json_string_value(json_object_get(request->secondary, "interface"));

	if (entry->state == ENTRY_RELEASING)
		return entry_is_of(entry, request->handle, ifname ? ifname : "eth0");
	return entry->state == ENTRY_RESERVE;
}

/* All fixed addresses lie in this node's reserve: a write covers them already. */
static bool pick_fixed(struct ipam *ipam, const struct request *request,
		       struct entry *ret_entries[2])
{
	for (size_t i = 0; i < request->fixed_count; i++) {
		struct entry *entry = entry_find(ipam, &request->fixed[i]);

		if (!entry || !is_free_for(entry, request))
			return false;
		ret_entries[!addr_is4(&entry->addr)] = entry;
	}
	return true;
}

/* Without a pool for it: the store may have one that nobody told us of yet. Whoever made the pool
 * before the pod must not depend on how fast we follow. */
static bool may_know_better(struct ipam *ipam, const struct request *request)
{
	if (is_down(ipam))
		return false;
	ipam->reload_pools |= ipam->pools_round <= request->round;
	return ipam->reload_pools;
}

static void serve(struct ipam *ipam, struct request *request)
{
	struct entry *entries[2] = {};
	struct err err = {};
	int r;

	if (!request->bad.code && serve_held(ipam, request))
		return;
	if (request->bad.code)
		err = request->bad, r = err.code;
	else if (ipam->distrust)
		r = err_set(&err, -EAGAIN,
			    "the journal was lost: the list of attachments is awaited");
	else if (!ipam->pools)
		r = is_down(ipam) ? say_down(ipam, &err) : 0;
	else if (!request->fixed_count)
		r = pick_all(ipam, request, entries, &err);
	else if (pick_fixed(ipam, request, entries))
		r = 1;
	else
		r = is_down(ipam) ? say_down(ipam, &err) : 0;
	if (r == -ENOENT && may_know_better(ipam, request))
		r = 0;
	if (r < 0)
		ack_from(ipam, request, &err);
	else if (r)
		take(ipam, request, entries);
}

static void serve_all(struct ipam *ipam)
{
	struct request *request, *next;
	struct pool_note *note, *next_note;

	HASH_ITER(hh, ipam->notes, note, next_note)
		note->demand = 0;
	DL_FOREACH_SAFE(ipam->requests, request, next)
		serve(ipam, request);
}

/* --- commit ---------------------------------------------------------------------------------- */

/* Nothing that waits for the failed fsync may be told as done. */
static void fail_acks(struct ipam *ipam, int r)
{
	json_t *attr = reserve_attr(ipam);
	struct ack *ack;

	DL_FOREACH(ipam->acks, ack) {
		for (size_t i = 0; i < ack->taken_count; i++) {
			struct entry *entry = entry_find(ipam, &ack->taken[i]);

			if (entry && entry->state == ENTRY_TAKEN)
				entry_set(ipam, entry, ENTRY_RESERVE, attr);
		}
		if (ack->result.status)
			continue;
		ack->result.count = 0;
		ack->result.status = r;
		err_errno(&ack->result.err, r, "the address journal cannot be written");
	}
	json_decref(attr);
}

static void answer(struct ipam *ipam)
{
	struct ack *acks = ipam->acks, *ack, *next;

	/* A callback may ask for more. */
	ipam->acks = NULL;
	DL_FOREACH_SAFE(acks, ack, next) {
		DL_DELETE(acks, ack);
		if (ack->done)
			ack->done(ack->arg, &ack->result);
		free(ack);
	}
}

int ipam_commit(struct ipam *ipam)
{
	int r;

	serve_all(ipam);
	r = ipam->acks ? ipam_journal_sync(ipam->journal) : ipam_journal_write(ipam->journal);
	if (r < 0 && ipam->acks)
		fail_acks(ipam, r);
	answer(ipam);
	return ipam_next(ipam);
}

void queue_cancel(struct ipam *ipam)
{
	struct request *request, *next;
	struct err err = {};

	err_set(&err, -ECANCELED, "the address allocator is closing");
	DL_FOREACH_SAFE(ipam->requests, request, next)
		ack_from(ipam, request, &err);
	if (ipam->acks && ipam->journal) {
		int r = ipam_journal_sync(ipam->journal);

		if (r < 0)
			fail_acks(ipam, r);
	}
	answer(ipam);
}
