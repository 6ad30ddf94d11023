/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/sync.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"

#define BATCH_ROWS 1000
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS 30000

/* In the order of additions: a row names only rows of maps before its own. */
static const char *const ranks[] = { "mg_local",  "mg_peers", "mg_failsafe", "mg_uplinks",
				     "mg_source", "mg_ep",    "mg_ep_if",    "mg_netns",
				     "mg_nets",	  "mg_addrs" };

#define RANKS (sizeof(ranks) / sizeof(ranks[0]))

struct entry {
	struct table want;
	struct table have; /* as written; of no meaning while !known */
	bool pending;	   /* want may differ from have */
	bool known;
	uint64_t delay_ms; /* of the next retry; 0: the last write worked */
	uint64_t retry_at;
};

struct sync {
	const struct sync_ops *ops;
	void *ops_data;
	sync_change_fn changed;
	void *changed_data;
	bool removal;
	struct entry entries[RANKS];
	struct sync_status status;
};

/* Rows of one difference on their way, at most BATCH_ROWS at a time. */
struct batch {
	struct sync *sync;
	const struct entry *entry;
	unsigned char *keys;
	unsigned char *values;
	const void **before; /* of each row; NULL: was absent */
	size_t count;
	size_t left; /* rows of the difference that are not written */
	bool remove;
	int error; /* the first one */
};

struct sync *sync_new(const struct sync_ops *ops, void *ops_data)
{
	struct sync *sync = xcalloc(1, sizeof(*sync));

	sync->ops = ops;
	sync->ops_data = ops_data;
	return sync;
}

void sync_free(struct sync *sync)
{
	if (!sync)
		return;
	for (size_t i = 0; i < RANKS; i++) {
		table_done(&sync->entries[i].want);
		table_done(&sync->entries[i].have);
	}
	free(sync);
}

void sync_on_change(struct sync *sync, sync_change_fn function, void *data)
{
	sync->changed = function;
	sync->changed_data = data;
}

void sync_allow_removal(struct sync *sync)
{
	sync->removal = true;
}

int sync_want(struct sync *sync, struct table *table)
{
	struct entry *entry;
	size_t rank = 0;

	while (rank < RANKS && strcmp(ranks[rank], table->map) != 0)
		rank++;
	if (rank == RANKS)
		return -ENOENT;
	entry = &sync->entries[rank];
	table_seal(table);
	table_done(&entry->want);
	entry->want = *table;
	entry->pending = true;
	table_init(table, table->map, table->key_size, table->value_size);
	return 0;
}

void sync_forget(struct sync *sync)
{
	for (size_t i = 0; i < RANKS; i++) {
		struct entry *entry = &sync->entries[i];

		/* Once settled, what is wanted is what was written. */
		if (!entry->pending && entry->known) {
			table_done(&entry->want);
			entry->want = entry->have;
			entry->have = (struct table){ 0 };
			entry->pending = true;
		}
		entry->known = false;
	}
}

/* --- one difference --- */

static void batch_start(struct batch *batch, struct sync *sync, const struct entry *entry,
			bool remove)
{
	*batch = (struct batch){ .sync = sync, .entry = entry, .remove = remove };
	batch->keys = xcalloc(BATCH_ROWS, entry->want.key_size);
	batch->values = xcalloc(BATCH_ROWS, entry->want.value_size);
	batch->before = xcalloc(BATCH_ROWS, sizeof(*batch->before));
}

static void tell(const struct batch *batch, size_t done)
{
	const struct table *want = &batch->entry->want;
	struct sync *sync = batch->sync;

	for (size_t i = 0; i < done && sync->changed; i++)
		sync->changed(want->map, batch->keys + i * want->key_size, batch->before[i],
			      batch->remove ? NULL : batch->values + i * want->value_size,
			      sync->changed_data);
}

static void batch_flush(struct batch *batch)
{
	const struct sync *sync = batch->sync;
	const char *map = batch->entry->want.map;
	size_t done = 0;
	int r;

	if (!batch->count || batch->error)
		return;
	if (batch->remove)
		r = sync->ops->remove(sync->ops_data, map, batch->keys, batch->count, &done);
	else
		r = sync->ops->set(sync->ops_data, map, batch->keys, batch->values, batch->count,
				   &done);
	tell(batch, done);
	if (batch->remove)
		batch->sync->status.removed += done;
	else
		batch->sync->status.written += done;
	batch->left -= done;
	batch->error = r;
	batch->count = 0;
}

static void batch_add(struct batch *batch, const void *key, const void *value, const void *before)
{
	const struct table *want = &batch->entry->want;

	batch->left++;
	if (batch->error) /* only counted: what waits */
		return;
	memcpy(batch->keys + batch->count * want->key_size, key, want->key_size);
	if (value)
		memcpy(batch->values + batch->count * want->value_size, value, want->value_size);
	batch->before[batch->count++] = before;
	if (batch->count == BATCH_ROWS)
		batch_flush(batch);
}

static int batch_end(struct batch *batch, size_t *waiting)
{
	batch_flush(batch);
	*waiting += batch->left;
	free(batch->keys);
	free(batch->values);
	free(batch->before);
	return batch->error;
}

/* Order of the next rows of two sorted tables; the end sorts last. */
static int next_cmp(const struct table *want, size_t i, const struct table *have, size_t j)
{
	if (i == want->count)
		return j == have->count ? 0 : 1;
	if (j == have->count)
		return -1;
	return memcmp(table_key(want, i), table_key(have, j), want->key_size);
}

/* Additions and changes, or removals, of one map. */
static int write_difference(struct sync *sync, const struct entry *entry, bool remove,
			    size_t *waiting)
{
	const struct table *want = &entry->want, *have = &entry->have;
	struct batch batch;

	batch_start(&batch, sync, entry, remove);
	for (size_t i = 0, j = 0; i < want->count || j < have->count;) {
		int order = next_cmp(want, i, have, j);

		if (order < 0 && !remove)
			batch_add(&batch, table_key(want, i), table_value(want, i), NULL);
		else if (order > 0 && remove)
			batch_add(&batch, table_key(have, j), NULL, table_value(have, j));
		else if (!order && !remove &&
			 memcmp(table_value(want, i), table_value(have, j), want->value_size) != 0)
			batch_add(&batch, table_key(want, i), table_value(want, i),
				  table_value(have, j));
		i += order <= 0;
		j += order >= 0;
	}
	return batch_end(&batch, waiting);
}

/* --- a run --- */

static void failed(struct sync *sync, struct entry *entry, int r, uint64_t now_ms)
{
	entry->known = false;
	entry->delay_ms = entry->delay_ms ? entry->delay_ms * 2 : RETRY_FIRST_MS;
	if (entry->delay_ms > RETRY_MOST_MS)
		entry->delay_ms = RETRY_MOST_MS;
	entry->retry_at = now_ms + entry->delay_ms;
	if (sync->status.error.code)
		return;
	sync->status.map = entry->want.map;
	err_errno(&sync->status.error, r, "map %s", entry->want.map);
}

static int learn(struct sync *sync, struct entry *entry)
{
	const struct table *want = &entry->want;
	int r;

	if (entry->known)
		return 0;
	table_done(&entry->have);
	table_init(&entry->have, want->map, want->key_size, want->value_size);
	r = sync->ops->read(sync->ops_data, &entry->have);
	entry->known = !r;
	return r;
}

static bool is_due(const struct entry *entry, uint64_t now_ms)
{
	return entry->pending && (!entry->delay_ms || now_ms >= entry->retry_at);
}

static void add_rows(struct sync *sync, struct entry *entry, uint64_t now_ms)
{
	int r = learn(sync, entry);

	if (!r)
		r = write_difference(sync, entry, false, &sync->status.waiting);
	else
		sync->status.waiting += entry->want.count;
	if (r)
		failed(sync, entry, r, now_ms);
}

/* Rows that must not be removed yet stay in what is known to stand there. */
static void settle(struct sync *sync, struct entry *entry)
{
	if (sync->removal) {
		table_done(&entry->have);
		entry->have = entry->want;
		table_init(&entry->want, entry->have.map, entry->have.key_size,
			   entry->have.value_size);
		entry->pending = false;
		return;
	}
	for (size_t i = 0; i < entry->want.count; i++)
		table_add(&entry->have, table_key(&entry->want, i), table_value(&entry->want, i));
	table_seal(&entry->have);
}

static void remove_rows(struct sync *sync, struct entry *entry, uint64_t now_ms)
{
	int r = 0;

	/* An addition of this run failed: its rows are not known, and its turn comes again. */
	if (!entry->known)
		return;
	if (sync->removal)
		r = write_difference(sync, entry, true, &sync->status.waiting);
	if (r)
		return failed(sync, entry, r, now_ms);
	entry->delay_ms = 0;
	settle(sync, entry);
}

static void note_retry(struct sync *sync)
{
	for (size_t i = 0; i < RANKS; i++) {
		const struct entry *entry = &sync->entries[i];

		if (entry->pending && entry->delay_ms &&
		    (!sync->status.retry_ms || entry->retry_at < sync->status.retry_ms))
			sync->status.retry_ms = entry->retry_at;
	}
}

int sync_run(struct sync *sync, uint64_t now_ms, struct sync_status *ret_status)
{
	bool due[RANKS];

	sync->status.waiting = 0;
	sync->status.retry_ms = 0;
	sync->status.map = NULL;
	sync->status.error = (struct err){ 0 };
	for (size_t i = 0; i < RANKS; i++) {
		due[i] = is_due(&sync->entries[i], now_ms);
		if (due[i])
			add_rows(sync, &sync->entries[i], now_ms);
	}
	for (size_t i = RANKS; i--;) {
		if (due[i])
			remove_rows(sync, &sync->entries[i], now_ms);
	}
	note_retry(sync);
	*ret_status = sync->status;
	return sync->status.error.code;
}
