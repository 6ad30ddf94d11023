/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/follow.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "base/arena.h"
#include "datastore/backend.h"

#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 10000

/* What the handler was told of one object. */
struct known {
	char *key; /* "group/kind/namespace/name" */
	char *uid;
	char *version;
	const struct store_kind *kind;
	unsigned int round; /* of the list that had it */
	UT_hash_handle hh;
};

struct follow {
	struct store *store;
	struct store_query *queries;
	size_t count;
	follow_fn fn;
	void *arg;
	struct store_watch *watch;
	struct known *known;
	unsigned int round;
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

static void events_done(struct events *events)
{
	for (size_t i = 0; i < events->count; i++)
		json_decref(events->all[i].object);
	free(events->all);
}

static char *known_key(const struct store_kind *kind, const json_t *object)
{
	const char *ns = object_meta(object, "namespace"), *name = object_meta(object, "name");

	return xasprintf("%s/%s/%s/%s", kind->group, kind->kind,
			 !kind->namespaced ? ""
			 : ns && *ns	   ? ns
					   : "default",
			 name ? name : "");
}

static void known_free(struct known *known)
{
	free(known->key);
	free(known->uid);
	free(known->version);
	free(known);
}

static void known_remove(struct follow *follow, struct known *known)
{
	HASH_DEL(follow->known, known);
	known_free(known);
}

static struct known *known_find(struct follow *follow, const char *key)
{
	struct known *known;

	HASH_FIND_STR(follow->known, key, known);
	return known;
}

/* Notes what the handler is about to be told. Returns the event's type as the handler must see it,
 * or -1: it knows this version. */
static int known_note(struct follow *follow, const struct store_kind *kind, const json_t *object)
{
	const char *version = object_meta(object, "resourceVersion");
	const char *uid = object_meta(object, "uid");
	_cleanup_free_ char *key = known_key(kind, object);
	struct known *known = known_find(follow, key);
	int type = known ? STORE_MODIFIED : STORE_ADDED;

	if (!known) {
		known = xcalloc(1, sizeof(*known));
		known->key = TAKE_PTR(key);
		known->kind = kind;
		HASH_ADD_KEYPTR(hh, follow->known, known->key, strlen(known->key), known);
	} else if (version && known->version && !strcmp(version, known->version)) {
		type = -1;
	}
	free(known->version);
	free(known->uid);
	known->version = version ? xstrdup(version) : NULL;
	known->uid = uid ? xstrdup(uid) : NULL;
	known->round = follow->round;
	return type;
}

static json_t *tombstone(const struct known *known)
{
	const char *name = strrchr(known->key, '/') + 1, *ns;
	char api[80];
	json_t *metadata = json_object(), *object = json_object();

	for (ns = name - 1; ns > known->key && ns[-1] != '/'; ns--)
		;
	json_object_set_new(metadata, "name", json_string(name));
	if (known->kind->namespaced)
		json_object_set_new(metadata, "namespace",
				    json_stringn(ns, (size_t)(name - 1 - ns)));
	if (known->uid)
		json_object_set_new(metadata, "uid", json_string(known->uid));
	json_object_set_new(object, "apiVersion",
			    json_string(store_kind_api_version(known->kind, api)));
	json_object_set_new(object, "kind", json_string(known->kind->kind));
	json_object_set_new(object, "metadata", metadata);
	return object;
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
		_cleanup_free_ char *key = known_key(event.kind, event.object);
		struct known *known = known_find(follow, key);
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

/* The difference between what the handler knows and what was listed. */
static void diff_lists(struct follow *follow, const struct store_list *lists, struct events *events)
{
	struct known *known, *next;

	follow->round++;
	for (size_t q = 0; q < follow->count; q++) {
		const struct store_kind *kind = follow->queries[q].kind;
		json_t *object;
		size_t i;

		json_array_foreach(lists[q].items, i, object) {
			int type = known_note(follow, kind, object);

			if (type >= 0)
				events_add(events, (struct store_event){
							   .type = (enum store_event_type)type,
							   .kind = kind,
							   .object = object });
		}
	}
	HASH_ITER(hh, follow->known, known, next) {
		_cleanup_json_ json_t *object = NULL;

		if (known->round == follow->round)
			continue;
		object = tombstone(known);
		events_add(events, (struct store_event){ .type = STORE_DELETED,
							 .kind = known->kind,
							 .object = object });
		known_remove(follow, known);
	}
}

static int start_watch(struct follow *follow, const struct store_list *lists, struct err *err)
{
	const struct store_watch_args args = {
		.queries = follow->queries, .count = follow->count, .fn = on_batch, .arg = follow
	};
	int r;

	for (size_t i = 0; i < follow->count; i++)
		follow->queries[i].from = lists[i].version;
	r = store_watch(follow->store, &args, &follow->watch, err);
	for (size_t i = 0; i < follow->count; i++)
		follow->queries[i].from = NULL;
	return r;
}

static int list_and_watch(struct follow *follow, struct err *err)
{
	struct store_list *lists = xcalloc(follow->count, sizeof(*lists));
	struct events events = { 0 };
	bool first = !follow->synced;
	int r = store_list(follow->store, follow->queries, follow->count, lists, err);

	if (!r) {
		r = start_watch(follow, lists, err);
		if (!r) {
			diff_lists(follow, lists, &events);
			follow->synced = true;
			follow->retry_ms = 0;
		}
		for (size_t i = 0; i < follow->count; i++)
			store_list_done(&lists[i]);
	}
	if (!r && (events.count || first))
		follow->fn(events.all, events.count, true, follow->arg);
	events_done(&events);
	free(lists);
	return r;
}

int follow_open(struct store *store, const struct follow_args *args, struct follow **ret_follow,
		struct err *err)
{
	_cleanup_follow_ struct follow *follow = xcalloc(1, sizeof(*follow));
	int r;

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
	struct known *known, *next;

	if (!follow)
		return;
	store_unwatch(follow->watch);
	HASH_ITER(hh, follow->known, known, next)
		known_remove(follow, known);
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
