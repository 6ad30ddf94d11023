/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: a stream a query, which the server ends every few minutes and which goes on from the
 * last version it told of, bookmarks included. A connection that is lost, or silent for longer than
 * bookmarks are apart, is made anew from there. Only when the server does not know that version any
 * more (410, or one of another life of the cluster) the owner lists again.
 *
 * Source: kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/rpc.h"
#include "datastore/kube.h"

#define STREAM_SECONDS 600 /* a half to the whole of it: not all streams end together */
#define RETRY_FIRST_MS 200
#define RETRY_LAST_MS 30000
#define ABSENT_MS 60000 /* between two looks for a resource that is not there */
#define SILENCES_MAX 2
#define STEADY_MS 5000 /* a stream that ran so long may be made anew at once */

struct kube_stream {
	struct kube_watch *owner;
	const struct store_query *query; /* the store_watch's */
	char version[STORE_VERSION_MAX];
	struct kube_request request;
	struct kube_split split;
	char *path;
	long long begun;
	int retry_ms;
	unsigned int silences; /* streams in a row that were silent for too long */
	struct err err;	       /* code 0: well */
};

struct kube_watch {
	struct kube *kube;
	struct store_watch *watch; /* NULL: unwatched */
	struct kube_stream *streams;
	size_t count;
	struct kube_watch *next, *prev;
};

static bool is_over(const struct kube_watch *own)
{
	return !own->watch || own->watch->dead || own->watch->gone;
}

static bool is_absent(const struct kube_stream *stream)
{
	return !strcmp(stream->version, KUBE_ABSENT);
}

/* --- events --- */

/* Numbers since Kubernetes 1.35's promise, and ever before. */
static unsigned long long number_of(const char *version)
{
	return strtoull(version, NULL, 10);
}

/* What all queries can go on from. */
static const char *lowest_version(const struct kube_watch *own)
{
	const struct kube_stream *lowest = NULL;

	for (size_t i = 0; i < own->count; i++) {
		const struct kube_stream *stream = &own->streams[i];

		if (!is_absent(stream) &&
		    (!lowest || number_of(stream->version) < number_of(lowest->version)))
			lowest = stream;
	}
	return lowest ? lowest->version : "";
}

static int note_version(struct kube_stream *stream, const json_t *object, struct err *err)
{
	const char *version = object_meta(object, "resourceVersion");

	if (!version || strlen(version) >= sizeof(stream->version))
		return err_set(err, -EBADMSG, "the API server sent an event without a version");
	snprintf(stream->version, sizeof(stream->version), "%s", version);
	return 0;
}

/* The server selects by labels: what it calls a change is one for this query. */
static int on_change(struct kube_stream *stream, enum store_event_type type, json_t *object,
		     struct err *err)
{
	struct kube_watch *own = stream->owner;
	struct store_change change = {
		.event = { .type = type, .kind = stream->query->kind, .object = object }
	};
	int r = kube_object_take(object, stream->query->kind, err);

	if (!r)
		r = note_version(stream, object, err);
	if (r < 0)
		return r;
	change.was = object_labels(object);
	watch_deliver(own->watch, &change, 1, lowest_version(own));
	return 0;
}

/* The version we asked from is of the past, or of another life of the cluster. */
static bool is_expired(int code, const json_t *status)
{
	json_t *cause;
	size_t i;
	const char *message = json_text_or(status, "message", "");

	if (code == 410 || code == 400 || strstr(message, "resourceVersion: Invalid value"))
		return true;
	json_array_foreach(json_at(status, "details.causes"), i, cause) {
		if (!strcmp(json_text_or(cause, "reason", ""), "ResourceVersionTooLarge"))
			return true;
	}
	return false;
}

static int on_error(struct kube_stream *stream, const json_t *status, struct err *err)
{
	int code = (int)json_integer_value(json_object_get(status, "code"));

	if (is_expired(code, status)) {
		watch_list_again(stream->owner->watch);
		return 0;
	}
	return err_set(err, -EIO, "the API server ended a watch: %d %.200s", code,
		       json_text_or(status, "message", ""));
}

static int on_piece(const char *text, size_t size, void *arg)
{
	static const char *const types[] = {
		[STORE_ADDED] = "ADDED", [STORE_MODIFIED] = "MODIFIED", [STORE_DELETED] = "DELETED"
	};
	struct kube_stream *stream = arg;
	_cleanup_json_ json_t *event = NULL;
	struct err *err = &stream->request.err;
	json_t *object;
	const char *type;

	if (is_over(stream->owner))
		return 0;
	event = json_read(text, size);
	type = json_text_or(event, "type", "");
	object = json_object_get(event, "object");
	if (!strcmp(type, "BOOKMARK"))
		return note_version(stream, object, err);
	if (!strcmp(type, "ERROR"))
		return on_error(stream, object, err);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i]))
			return on_change(stream, (enum store_event_type)i, object, err);
	return err_set(err, -EBADMSG, "the API server sent an event of no known type");
}

/* --- streams --- */

static int on_data(struct kube_request *request, const char *data, size_t size, struct err *err)
{
	struct kube_stream *stream = request->arg;

	stream->err.code = 0;
	stream->retry_ms = 0;
	stream->silences = size ? 0 : stream->silences;
	if (is_absent(stream)) {
		watch_list_again(stream->owner->watch);
		return 0;
	}
	return kube_split_feed(&stream->split, data, size, err);
}

static void begin(struct kube_stream *stream, int wait_ms)
{
	const struct kube_ask ask = { .watch = true,
				      .version = is_absent(stream) ? NULL : stream->version,
				      .seconds = (unsigned int)kube_jitter(STREAM_SECONDS) };

	free(stream->path);
	stream->path = kube_path_query(stream->query, &ask);
	kube_split_done(&stream->split);
	stream->split =
		(struct kube_split){ .form = KUBE_SPLIT_DOCUMENTS, .fn = on_piece, .arg = stream };
	stream->request.path = stream->path;
	stream->begun = rpc_now() + wait_ms;
	kube_http_start(stream->owner->kube->http, &stream->request);
	stream->request.due = stream->begun;
}

/* The wait before the next attempt after a failure. */
static int back_off(struct kube_stream *stream)
{
	stream->retry_ms = stream->retry_ms ? stream->retry_ms * 2 : RETRY_FIRST_MS;
	if (stream->retry_ms > RETRY_LAST_MS)
		stream->retry_ms = RETRY_LAST_MS;
	return kube_jitter(stream->retry_ms);
}

/* A server that is asked from a version it will have one day says nothing, not even a bookmark. */
static bool is_mute(struct kube_stream *stream)
{
	const struct kube_request *request = &stream->request;

	return request->result == -ETIMEDOUT && request->status >= 200 && request->status < 300 &&
	       ++stream->silences == SILENCES_MAX;
}

static void failed(struct kube_stream *stream)
{
	const struct kube_request *request = &stream->request;
	_cleanup_free_ char *what = kube_kind_text(stream->query->kind);
	_cleanup_json_ json_t *status = json_read(request->answer.v, request->answer.size);
	struct err err;
	int r = kube_http_check(request, what, &err);

	if ((!request->result && is_expired(request->status, status)) || is_mute(stream)) {
		watch_list_again(stream->owner->watch);
		return;
	}
	if (r == -EOPNOTSUPP && kube_kind_is_optional(stream->query->kind)) {
		/* an answer, too: the server is in reach */
		stream->err.code = 0;
		stream->retry_ms = 0;
		/* it was there, and its objects went with it */
		if (!is_absent(stream))
			watch_list_again(stream->owner->watch);
		else
			begin(stream, kube_jitter(ABSENT_MS));
		return;
	}
	stream->err = err;
	begin(stream, back_off(stream));
}

static void on_done(struct kube_request *request)
{
	struct kube_stream *stream = request->arg;
	bool good = !request->result && request->status >= 200 && request->status < 300;

	if (is_over(stream->owner))
		return;
	if (!good)
		failed(stream);
	else
		begin(stream, rpc_now() - stream->begun < STEADY_MS ? back_off(stream) : 0);
}

/* --- watches --- */

int kube_watch(struct store *store, struct store_watch *watch, struct err *err)
{
	struct kube *kube = to_kube(store);
	struct kube_watch *own = xcalloc(1, sizeof(*own));

	(void)err;
	own->kube = kube;
	own->watch = watch;
	own->count = watch->count;
	own->streams = xcalloc(own->count, sizeof(*own->streams));
	for (size_t i = 0; i < own->count; i++) {
		struct kube_stream *stream = &own->streams[i];

		stream->owner = own;
		stream->query = &watch->queries[i];
		snprintf(stream->version, sizeof(stream->version), "%s",
			 stream->query->from ? stream->query->from : "");
		stream->request = (struct kube_request){ .method = "GET",
							 .idle_ms = kube->silent_ms,
							 .data = on_data,
							 .done = on_done,
							 .arg = stream };
		begin(stream, 0);
	}
	DL_APPEND(kube->watches, own);
	store_wake(store);
	return 0;
}

static void stop(struct kube_watch *own)
{
	for (size_t i = 0; i < own->count; i++) {
		kube_request_done(&own->streams[i].request);
		kube_split_done(&own->streams[i].split);
		own->streams[i].err.code = 0;
		free(TAKE_PTR(own->streams[i].path));
	}
}

static void watch_free(struct kube *kube, struct kube_watch *own)
{
	stop(own);
	DL_DELETE(kube->watches, own);
	free(own->streams);
	free(own);
}

void kube_unwatch(struct store *store, struct store_watch *watch)
{
	struct kube *kube = to_kube(store);
	struct kube_watch *own;

	DL_SEARCH_SCALAR(kube->watches, own, watch, watch);
	if (!own)
		return;
	own->watch = NULL;
	/* its stream may be the one that calls */
	if (!store->dispatching)
		watch_free(kube, own);
}

void kube_watches_tidy(struct kube *kube)
{
	struct kube_watch *own, *next;

	DL_FOREACH_SAFE(kube->watches, own, next) {
		if (!own->watch)
			watch_free(kube, own);
		else if (own->watch->dead)
			stop(own);
	}
}

void kube_watches_free(struct kube *kube)
{
	struct kube_watch *own, *next;

	DL_FOREACH_SAFE(kube->watches, own, next)
		watch_free(kube, own);
}

int kube_watches_state(const struct kube *kube, struct err *err)
{
	const struct kube_watch *own;

	DL_FOREACH(kube->watches, own)
		for (size_t i = 0; i < own->count; i++) {
			const struct kube_stream *stream = &own->streams[i];

			if (stream->err.code)
				return err_set(err, stream->err.code, "%s", stream->err.text);
		}
	return 0;
}
