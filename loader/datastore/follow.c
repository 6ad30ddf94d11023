/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/follow.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/index.h"
#include "base/slab.h"
#include "datastore/backend.h"

#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 10000
#define PART 128 /* objects of a list that are told together */

/* What the handler was told of one object: 50,000 of them are 3 MiB. */
struct known {
	uint64_t version; /* hash of it */
	uint32_t round;	  /* of the list that had it */
	uint8_t kind;	  /* enum kind */
	char text[];	  /* namespace, name, each with its NUL */
};

struct follow {
	struct store *store;
	struct store_query *queries;
	size_t count;
	follow_fn fn;
	void *arg;
	struct store_watch *watch;
	struct slab slab;
	struct index known; /* by key */
	uint32_t round;
	bool synced;
	int retry_ms; /* 0: no list is due */
	int64_t due;  /* ms, monotonic */
};

struct events {
	struct store_event *all;
	size_t count, room;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void events_add(struct events *events, struct store_event event)
{
	if (events->count == events->room) {
		events->room = events->room ? events->room * 2 : 64;
		events->all = xrealloc(events->all, events->room, sizeof(*events->all));
	}
	json_incref(event.object);
	events->all[events->count++] = event;
}

static void events_clear(struct events *events)
{
	for (size_t i = 0; i < events->count; i++)
		json_decref(events->all[i].object);
	events->count = 0;
}

static void events_done(struct events *events)
{
	events_clear(events);
	free(events->all);
}

static struct store_key key_of(const struct store_kind *kind, const json_t *object)
{
	const char *ns = object_meta(object, "namespace"), *name = object_meta(object, "name");

	return (struct store_key){ .kind = kind,
				   .ns = !kind->namespaced ? ""
					 : ns && *ns	   ? ns
							   : "default",
				   .name = name ? name : "" };
}

static struct store_key known_key(const struct known *known)
{
	return (struct store_key){ .kind = store_kind(known->kind),
				   .ns = known->text,
				   .name = known->text + strlen(known->text) + 1 };
}

static uint32_t known_hash(const void *context, uintptr_t word)
{
	struct store_key key = known_key((const struct known *)word);

	(void)context;
	return key_hash(&key);
}

static struct known *known_find(const struct follow *follow, const struct store_key *key)
{
	index_for_each_of(&follow->known, key_hash(key), word)
	{
		struct store_key have = known_key((const struct known *)word);

		if (have.kind->id == key->kind->id && !strcmp(have.name, key->name) &&
		    !strcmp(have.ns, key->ns))
			return (struct known *)word;
	}
	return NULL;
}

static struct known *known_add(struct follow *follow, const struct store_key *key)
{
	size_t ns = strlen(key->ns) + 1, name = strlen(key->name) + 1;
	struct known *known = slab_alloc(&follow->slab, sizeof(*known) + ns + name);

	known->kind = (uint8_t)key->kind->id;
	memcpy(known->text, key->ns, ns);
	memcpy(known->text + ns, key->name, name);
	index_add(&follow->known, (uintptr_t)known);
	return known;
}

static void known_free(struct follow *follow, struct known *known)
{
	struct store_key key = known_key(known);

	slab_free(&follow->slab, known, sizeof(*known) + strlen(key.ns) + strlen(key.name) + 2);
}

static void known_remove(struct follow *follow, struct known *known)
{
	index_del(&follow->known, (uintptr_t)known);
	known_free(follow, known);
}

/* Notes what the handler is about to be told. Returns the event's type as the handler must see it,
 * or -1: it knows this version. */
static int known_note(struct follow *follow, const struct store_kind *kind, const json_t *object)
{
	const char *version = object_meta(object, "resourceVersion");
	uint64_t digest = version ? text_hash(version, 0) : 0;
	struct store_key key = key_of(kind, object);
	struct known *known = known_find(follow, &key);
	int type = known ? STORE_MODIFIED : STORE_ADDED;

	if (!known)
		known = known_add(follow, &key);
	else if (version && known->version == digest)
		type = -1;
	known->version = digest;
	known->round = follow->round;
	return type;
}

static json_t *tombstone(const struct known *known)
{
	struct store_key key = known_key(known);

	return object_bare(&key);
}

static void schedule(struct follow *follow)
{
	follow->retry_ms = follow->retry_ms ? follow->retry_ms * 2 : RETRY_FIRST_MS;
	if (follow->retry_ms > RETRY_LAST_MS)
		follow->retry_ms = RETRY_LAST_MS;
	follow->due = now_ms() + follow->retry_ms;
}

static void on_batch(struct store_watch *watch, const struct store_batch *batch, void *arg)
{
	struct follow *follow = arg;
	struct events events = { 0 };

	(void)watch;
	if (batch->list_again) {
		store_unwatch(TAKE_PTR(follow->watch));
		follow->retry_ms = RETRY_FIRST_MS;
		follow->due = 0;
		store_wake(follow->store);
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		struct store_event event = batch->events[i];
		struct store_key key = key_of(event.kind, event.object);
		struct known *known = known_find(follow, &key);
		int type = STORE_DELETED;

		if (event.type != STORE_DELETED)
			type = known_note(follow, event.kind, event.object);
		else if (known)
			known_remove(follow, known);
		else
			type = -1;
		if (type < 0)
			continue;
		event.type = (enum store_event_type)type;
		events_add(&events, event);
	}
	if (events.count)
		follow->fn(events.all, events.count, follow->synced, follow->arg);
	events_done(&events);
}

/* What the list did not have any more. */
static void bury(struct follow *follow, struct events *events)
{
	struct known **gone = xcalloc(follow->known.count, sizeof(struct known *));
	size_t count = 0;

	index_for_each(&follow->known, word)
	{
		struct known *known = (struct known *)word;

		if (known->round != follow->round)
			gone[count++] = known;
	}
	for (size_t i = 0; i < count; i++) {
		_cleanup_json_ json_t *object = tombstone(gone[i]);

		events_add(events, (struct store_event){ .type = STORE_DELETED,
							 .kind = store_kind(gone[i]->kind),
							 .object = object });
		known_remove(follow, gone[i]);
	}
	free(gone);
}

struct telling {
	struct follow *follow;
	struct events events; /* of the part that grows */
};

/* The difference between what the handler knows and what is listed. */
static int on_listed(size_t query, json_t *object, void *arg)
{
	struct telling *telling = arg;
	struct follow *follow = telling->follow;
	struct store_event event = { .kind = follow->queries[query].kind, .object = object };
	int type = known_note(follow, event.kind, object);

	if (type < 0)
		return 0;
	event.type = (enum store_event_type)type;
	events_add(&telling->events, event);
	if (telling->events.count < PART)
		return 0;
	follow->fn(telling->events.all, telling->events.count, false, follow->arg);
	events_clear(&telling->events);
	return 0;
}

static int start_watch(struct follow *follow, char (*versions)[STORE_VERSION_MAX], struct err *err)
{
	const struct store_watch_args args = {
		.queries = follow->queries, .count = follow->count, .fn = on_batch, .arg = follow
	};
	int r;

	for (size_t i = 0; i < follow->count; i++)
		follow->queries[i].from = versions[i];
	r = store_watch(follow->store, &args, &follow->watch, err);
	for (size_t i = 0; i < follow->count; i++)
		follow->queries[i].from = NULL;
	return r;
}

/* What a list that failed had told stays told: the next one goes on from there. */
static int list_and_watch(struct follow *follow, struct err *err)
{
	_cleanup_free_ char(*versions)[STORE_VERSION_MAX] =
		xcalloc(follow->count, sizeof(*versions));
	struct telling telling = { .follow = follow };
	const struct store_reading reading = { .queries = follow->queries,
					       .count = follow->count,
					       .fn = on_listed,
					       .arg = &telling,
					       .versions = versions };
	int r;

	follow->round++;
	r = store_read(follow->store, &reading, err);
	if (!r)
		r = start_watch(follow, versions, err);
	if (!r) {
		bury(follow, &telling.events);
		follow->synced = true;
		follow->retry_ms = 0;
	}
	/* Noted as told, so it is told. */
	if (!r || telling.events.count)
		follow->fn(telling.events.all, telling.events.count, !r, follow->arg);
	events_done(&telling.events);
	return r;
}

int follow_open(struct store *store, const struct follow_args *args, struct follow **ret_follow,
		struct err *err)
{
	_cleanup_follow_ struct follow *follow = xcalloc(1, sizeof(*follow));
	int r;

	follow->known.hash = known_hash;
	follow->store = store;
	follow->fn = args->fn;
	follow->arg = args->arg;
	follow->count = args->count;
	follow->queries = xcalloc(args->count, sizeof(*follow->queries));
	for (size_t i = 0; i < args->count; i++) {
		const struct store_query *query = &args->queries[i];

		follow->queries[i] = (struct store_query){
			.kind = query->kind,
			.ns = query->ns ? xstrdup(query->ns) : NULL,
			.name = query->name ? xstrdup(query->name) : NULL,
			.labels = query->labels ? xstrdup(query->labels) : NULL,
		};
	}
	r = list_and_watch(follow, err);
	if (r < 0 && !store_unreachable(r))
		return r;
	if (r < 0)
		schedule(follow);
	*ret_follow = TAKE_PTR(follow);
	return 0;
}

void follow_close(struct follow *follow)
{
	if (!follow)
		return;
	store_unwatch(follow->watch);
	index_for_each(&follow->known, word) known_free(follow, (struct known *)word);
	index_done(&follow->known);
	slab_done(&follow->slab);
	for (size_t i = 0; i < follow->count; i++) {
		free((char *)follow->queries[i].ns);
		free((char *)follow->queries[i].name);
		free((char *)follow->queries[i].labels);
	}
	free(follow->queries);
	free(follow);
}

int follow_dispatch(struct follow *follow, struct err *err)
{
	int r;

	if (follow->watch || now_ms() < follow->due)
		return 0;
	r = list_and_watch(follow, err);
	if (r < 0)
		schedule(follow);
	return r;
}

int follow_timeout_ms(const struct follow *follow)
{
	int64_t left = follow->due - now_ms();

	if (follow->watch)
		return -1;
	return left < 0 ? 0 : (int)left;
}

bool follow_is_synced(const struct follow *follow)
{
	return follow->synced;
}
