/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing, and the turn of store work. */
#include "ipam/ipam.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "ipam/batch.h"

#define COMMITS_A_TURN 4

static __u64 system_now(void *arg)
{
	struct timespec ts;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (__u64)ts.tv_sec * 1000 + (__u64)ts.tv_nsec / 1000000;
}

/* --- the store comes and goes ---------------------------------------------------------------- */

/* Also for what the store refuses for good: there is nothing better than to try again later. */
static void mark_down(struct ipam *ipam, const struct err *err)
{
	ipam->down_pause = ipam->down_pause ? ipam->down_pause * 2 : DOWN_MIN_MS;
	if (ipam->down_pause > DOWN_MAX_MS)
		ipam->down_pause = DOWN_MAX_MS;
	ipam->down = true;
	ipam->down_err = *err;
	ipam->down_until = ipam->now(ipam->now_arg) + ipam->down_pause;
}

static void mark_up(struct ipam *ipam)
{
	/* Changes may have been missed, and a claim may have been cut off. */
	ipam->reload_pools |= ipam->down;
	ipam->reload_blocks |= ipam->down;
	ipam->down = false;
	ipam->down_pause = 0;
}

void ipam_reached(struct ipam *ipam, int r, const struct err *err)
{
	if (r < 0)
		mark_down(ipam, err);
	else
		mark_up(ipam);
}

/* A reserve that the journal does not know may be on a pod that it does not know either. */
static void judge_fresh(struct ipam *ipam)
{
	struct entry *entry, *next;

	if (!ipam->fresh)
		return;
	HASH_ITER(hh, ipam->entries, entry, next)
		ipam->distrust |= entry->state == ENTRY_RESERVE;
	ipam->fresh = false;
}

static int read_all(struct ipam *ipam, struct err *err)
{
	int r = 0;

	if (ipam->reload_pools)
		r = read_pools(ipam, err);
	if (!r && ipam->reload_blocks) {
		r = read_blocks(ipam, err);
		if (!r)
			judge_fresh(ipam);
	}
	return r;
}

/* --- opening --------------------------------------------------------------------------------- */

static int open_journal(struct ipam *ipam, const struct ipam_options *options, struct err *err)
{
	struct ipam_journal *journal;
	enum journal_found found;
	struct journal_args args = {
		.dir = options->dir,
		.ops = options->journal_ops,
		.replay = journal_replay,
		.snapshot = journal_snapshot,
		.arg = ipam,
	};
	int r = ipam_journal_open(&args, &journal, &found, err);

	if (r < 0)
		return r;
	ipam->journal = journal;
	switch (found) {
	case JOURNAL_NEW:
		ipam->fresh = true;
		break;
	case JOURNAL_WHOLE:
		break;
	case JOURNAL_DAMAGED:
		ipam->distrust = true;
		break;
	}
	return 0;
}

/* Pools of which this node has addresses are in use from the start. */
static void note_pools(struct ipam *ipam)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next) {
		pool_note(ipam, entry->pool);
		/* An earlier life may have stored it. */
		handle_touch(ipam, entry_handle(entry), true);
	}
}

static int check_options(const struct ipam_options *options, struct err *err)
{
	if (!options->node || !*options->node || strlen(options->node) >= IPAM_NAME_MAX)
		return err_set(err, -EINVAL, "the node's name is missing or longer than %d",
			       IPAM_NAME_MAX - 1);
	if (options->reserve > IPAM_RESERVE_MAX)
		return err_set(err, -EINVAL, "a reserve of more than %d", IPAM_RESERVE_MAX);
	return 0;
}

int ipam_open(const struct ipam_options *options, struct ipam **ret_ipam, struct err *err)
{
	_cleanup_(ipam_close_p) struct ipam *ipam = NULL;
	struct err why = {};
	int r = check_options(options, err);

	if (r < 0)
		return r;
	ipam = xcalloc(1, sizeof(*ipam));
	ipam->store = options->store;
	ipam->node = xstrdup(options->node);
	snprintf(ipam->reserve_handle, sizeof(ipam->reserve_handle), "%s%s", RESERVE_HANDLE,
		 options->node);
	ipam->reserve = options->reserve ? options->reserve : IPAM_RESERVE_DEFAULT;
	ipam->now = options->now ? options->now : system_now;
	ipam->now_arg = options->now_arg;
	ipam->wake = options->wake;
	ipam->wake_arg = options->wake_arg;
	ipam->reload_pools = ipam->reload_blocks = true;
	ipam->fixed_wait = -1;
	r = open_journal(ipam, options, err);
	if (r < 0)
		return r;
	r = read_all(ipam, &why);
	if (r < 0) {
		mark_down(ipam, &why);
		read_pools_saved(ipam);
	}
	note_pools(ipam);
	*ret_ipam = TAKE_PTR(ipam);
	return 0;
}

static void labels_clear(struct ipam_labels *labels)
{
	for (size_t i = 0; i < labels->count; i++) {
		free((char *)labels->items[i].key);
		free((char *)labels->items[i].value);
	}
	free((struct ipam_label *)labels->items);
	*labels = (struct ipam_labels){};
}

void ipam_close(struct ipam *ipam)
{
	struct cached_block *cached, *next;

	if (!ipam)
		return;
	batch_abandon(ipam->flight);
	if (ipam->journal) {
		queue_cancel(ipam);
		ipam_journal_write(ipam->journal);
		ipam_journal_close(ipam->journal);
	}
	entries_clear(ipam);
	handles_clear(ipam);
	HASH_ITER(hh, ipam->blocks, cached, next)
		cached_drop(ipam, cached);
	pool_notes_clear(ipam);
	pools_free(ipam->pools);
	labels_clear(&ipam->labels);
	free(ipam->node);
	free(ipam);
}

int ipam_node_labels(struct ipam *ipam, const struct ipam_labels *labels)
{
	struct ipam_label *items = xcalloc(labels->count + 1, sizeof(*items));

	for (size_t i = 0; i < labels->count; i++)
		items[i] = (struct ipam_label){
			.key = xstrdup(labels->items[i].key),
			.value = xstrdup(labels->items[i].value),
		};
	labels_clear(&ipam->labels);
	ipam->labels = (struct ipam_labels){ .items = items, .count = labels->count };
	return 0;
}

static const char *cached_version(const struct cached_block *cached)
{
	const json_t *metadata = json_object_get(cached->block->object, "metadata");

	return json_string_value(json_object_get(metadata, "resourceVersion"));
}

void ipam_notice(struct ipam *ipam, const char *kind, const char *name, const char *version)
{
	struct cached_block *cached, *next;

	if (!strcmp(kind, "IPPool") || !strcmp(kind, "IPReservation") ||
	    !strcmp(kind, "IPAMConfiguration"))
		ipam->reload_pools = true;
	if (strcmp(kind, "IPAMBlock") != 0)
		return;
	HASH_ITER(hh, ipam->blocks, cached, next) {
		const char *have = cached_version(cached);
		char text[BLOCK_NAME_MAX];

		if (!strcmp(block_name(&cached->cidr, text), name) &&
		    (!version || !have || strcmp(version, have) != 0))
			cached->stale = ipam->noticed = true;
	}
}

/* --- the turn -------------------------------------------------------------------------------- */

/* Writes until nothing is left or the turn's share is used up. */
static int write_some(struct ipam *ipam, struct err *err)
{
	int commits = 0, r = 0;

	for (int tries = 0; tries < COMMIT_TRIES && commits < COMMITS_A_TURN; tries++) {
		if (!write_needed(ipam))
			return 0;
		r = write_entries(ipam, err);
		if (r == -ESTALE)
			continue;
		if (r <= 0 || ipam->flight)
			return r < 0 ? r : 0;
		commits++;
	}
	return r == -ESTALE || r > 0 ? 0 : r;
}

static int find_some(struct ipam *ipam, struct err *err)
{
	int r = 0;

	for (int tries = 0; tries < COMMIT_TRIES; tries++) {
		r = claim_for_waiting(ipam, err);
		if (!r)
			return 0;
		if (r > 0)
			r = write_some(ipam, err);
		if (ipam->flight)
			return 0;
		if (r < 0 && r != -ESTALE)
			return r;
	}
	return 0;
}

static bool is_shed_due(struct ipam *ipam)
{
	__u64 now = ipam->now(ipam->now_arg);

	return now < ipam->shed_ms || now - ipam->shed_ms >= SHED_MS;
}

static int work(struct ipam *ipam, struct err *err)
{
	bool shed = is_shed_due(ipam);
	int r = read_all(ipam, err);

	if (!r)
		r = read_noticed(ipam, err);
	if (!r)
		r = serve_fixed(ipam, err);
	if (r < 0)
		return r;
	if (shed)
		shed_surplus(ipam);
	r = write_some(ipam, err);
	if (ipam->flight)
		return 0;
	if (r >= 0)
		r = find_some(ipam, err);
	if (r >= 0 && shed && !ipam->flight)
		r = give_up_blocks(ipam, err);
	return r < 0 ? r : 0;
}

int ipam_tick(struct ipam *ipam)
{
	__u64 now = ipam->now(ipam->now_arg);
	struct err err = {};
	int r;

	/* A pause longer than the longest means that the clock was set back. */
	if (ipam->down && now < ipam->down_until && ipam->down_until - now <= DOWN_MAX_MS)
		return ipam_next(ipam);
	if (ipam->flight)
		return ipam_next(ipam);
	ipam->round++;
	r = work(ipam, &err);
	/* Of a commit on its way its end says how the store is. */
	if (r < 0 || !ipam->flight)
		ipam_reached(ipam, r, &err);
	return ipam_next(ipam);
}
