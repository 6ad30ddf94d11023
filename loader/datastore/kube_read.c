/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and lists. A list comes in pages, each cut into its objects while it arrives. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "datastore/kube.h"

#define PAGE 500
#define SILENT_MS 15000
#define GET_MS 5000 /* for one object: somebody waits for it */

static void name_object(json_t *object, const struct store_kind *kind)
{
	char api[80];

	if (!json_object_get(object, "kind"))
		json_object_set_new(object, "kind", json_string(kind->kind));
	if (!json_object_get(object, "apiVersion"))
		json_object_set_new(object, "apiVersion",
				    json_string(store_kind_api_version(kind, api)));
}

int kube_object_take(json_t *object, const struct store_kind *kind, struct err *err)
{
	struct store_key key;
	int r;

	if (!json_is_object(object))
		return err_set(err, -EBADMSG, "the API server sent no object that can be read");
	name_object(object, kind);
	json_object_del(json_object_get(object, "metadata"), "managedFields");
	r = store_key_of(object, &key, err);
	if (!r && !store_kind_equal(key.kind, kind))
		r = err_set(err, -EBADMSG, "the API server sent a %s for a %s", key.kind->kind,
			    kind->kind);
	if (!r && !object_meta(object, "resourceVersion"))
		r = err_set(err, -EBADMSG, "the API server sent an object without a version");
	return r < 0 ? -EBADMSG : 0;
}

int kube_object_read(const char *text, size_t size, const struct store_kind *kind,
		     json_t **ret_object, struct err *err)
{
	_cleanup_json_ json_t *object = json_read(text, size);
	int r = kube_object_take(object, kind, err);

	if (!r)
		*ret_object = TAKE_PTR(object);
	return r;
}

int kube_get(struct store *store, const struct store_key *key, json_t **ret_object, struct err *err)
{
	_cleanup_free_ char *path = kube_path(key, NULL), *what = key_text(key);
	_cleanup_(kube_request_done) struct kube_request request = { .method = "GET",
								     .path = path,
								     .timeout_ms = GET_MS };
	int r;

	kube_http_run(to_kube(store)->http, &request);
	store_wake(store);
	r = kube_http_check(&request, what, err);
	if (!r)
		r = kube_object_read(request.answer.v, request.answer.size, key->kind, ret_object,
				     err);
	return r;
}

/* --- lists --- */

struct listing {
	struct kube *kube;
	const struct store_reading *reading;
	size_t query;
	struct kube_split split;
	char *more; /* the continue token; NULL: the last page */
	struct err *err;
};

static int on_piece(const char *text, size_t size, void *arg)
{
	struct listing *listing = arg;
	const struct store_reading *reading = listing->reading;
	_cleanup_json_ json_t *object = NULL;
	int r = kube_object_read(text, size, reading->queries[listing->query].kind, &object,
				 listing->err);

	return r < 0 ? r : reading->fn(listing->query, object, reading->arg);
}

static int on_data(struct kube_request *request, const char *data, size_t size, struct err *err)
{
	struct listing *listing = request->arg;

	listing->err = err;
	return kube_split_feed(&listing->split, data, size, err);
}

/* What stands around the items. */
static int take_frame(struct listing *listing, struct err *err)
{
	_cleanup_json_ json_t *frame = NULL;
	const char *version, *more;

	if (kube_split_whole(&listing->split))
		frame = json_read(listing->split.frame.v, listing->split.frame.size);
	version = json_text_at(frame, "metadata.resourceVersion");
	if (!version || strlen(version) >= STORE_VERSION_MAX)
		return err_set(err, -EBADMSG, "the API server sent a list without its end");
	more = json_text_or(frame, "metadata.continue", "");
	free(TAKE_PTR(listing->more));
	listing->more = *more ? xstrdup(more) : NULL;
	snprintf(listing->reading->versions[listing->query], STORE_VERSION_MAX, "%s", version);
	return 0;
}

static int read_page(struct listing *listing, struct err *err)
{
	const struct store_query *query = &listing->reading->queries[listing->query];
	const struct kube_ask ask = { .limit = PAGE, .more = listing->more };
	_cleanup_free_ char *path = kube_path_query(query, &ask);
	_cleanup_free_ char *what = kube_kind_text(query->kind);
	_cleanup_(kube_request_done) struct kube_request request = {
		.method = "GET", .path = path, .idle_ms = SILENT_MS, .data = on_data, .arg = listing
	};
	int r;

	listing->split =
		(struct kube_split){ .form = KUBE_SPLIT_LIST, .fn = on_piece, .arg = listing };
	r = kube_http_run(listing->kube->http, &request);
	if (r <= 0) /* more is the reader's own word */
		r = kube_http_check(&request, what, err);
	if (!r)
		r = take_frame(listing, err);
	kube_split_done(&listing->split);
	return r;
}

static int read_pages(struct listing *listing, struct err *err)
{
	int r;

	do
		r = read_page(listing, err);
	while (!r && listing->more);
	free(TAKE_PTR(listing->more));
	return r;
}

/* Pages may expire while they are read (410, after minutes): the whole is to be read anew. */
static int read_query(struct listing *listing, struct err *err)
{
	const struct store_query *query = &listing->reading->queries[listing->query];
	int r = read_pages(listing, err);

	if (r == -EOPNOTSUPP && kube_kind_is_optional(query->kind)) {
		snprintf(listing->reading->versions[listing->query], STORE_VERSION_MAX, "%s",
			 KUBE_ABSENT);
		return err_clear(err);
	}
	return r == -ESTALE ? -EAGAIN : r;
}

int kube_read(struct store *store, const struct store_reading *reading, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < reading->count; i++) {
		struct listing listing = { .kube = to_kube(store), .reading = reading, .query = i };

		r = read_query(&listing, err);
	}
	store_wake(store);
	return r;
}
