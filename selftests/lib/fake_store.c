/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/fake_store.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "datastore/backend.h"

struct fake_store {
	struct store store; /* first */
	struct fake_options options;
};

static struct fake_options *options_of(struct store *store)
{
	return &((struct fake_store *)store)->options;
}

static int hook(struct store *store, enum fake_point point, struct err *err)
{
	struct fake_options *options = options_of(store);
	int r = options->hook ? options->hook(options->arg, point) : 0;

	return r < 0 ? err_errno(err, r, "fake store") : 0;
}

/* --- content --------------------------------------------------------------------------------- */

void fake_content_init(struct fake_content *content)
{
	*content = (struct fake_content){ .objects = json_object() };
}

void fake_content_done(struct fake_content *content)
{
	json_decref(content->objects);
	content->objects = NULL;
}

static char *key_of(const char *kind, const char *name)
{
	return xasprintf("%s/%s", kind, name);
}

static json_t *stamped(struct fake_content *content, const json_t *object)
{
	json_t *copy = json_deep_copy(object);
	char version[32];

	snprintf(version, sizeof(version), "%lu", ++content->version);
	object_name_write(copy, "resourceVersion", version);
	content->writes++;
	return copy;
}

void fake_put(struct fake_content *content, const char *text)
{
	_cleanup_json_ json_t *object = json_loads(text, 0, NULL);
	_cleanup_free_ char *key = NULL;

	if (!object)
		abort();
	key = key_of(json_string_value(json_object_get(object, "kind")),
		     object_meta(object, "name"));
	json_object_set_new(content->objects, key, stamped(content, object));
}

json_t *fake_get(const struct fake_content *content, const char *kind, const char *name)
{
	_cleanup_free_ char *key = key_of(kind, name);

	return json_object_get(content->objects, key);
}

void fake_remove(struct fake_content *content, const char *kind, const char *name)
{
	_cleanup_free_ char *key = key_of(kind, name);

	json_object_del(content->objects, key);
}

size_t fake_count(const struct fake_content *content, const char *kind)
{
	size_t count = 0, length = strlen(kind);
	const char *key;
	json_t *object;

	json_object_foreach(content->objects, key, object)
		count += !strncmp(key, kind, length) && key[length] == '/';
	return count;
}

/* --- reading --------------------------------------------------------------------------------- */

static int fake_get_op(struct store *store, const struct store_key *key, json_t **ret_object,
		       struct err *err)
{
	json_t *object;
	int r = hook(store, FAKE_READ, err);

	if (r < 0)
		return r;
	object = fake_get(options_of(store)->content, key->kind->kind, key->name);
	if (!object)
		return err_set(err, -ENOENT, "%s %s: not found", key->kind->kind, key->name);
	*ret_object = json_deep_copy(object);
	return 0;
}

static int read_kind(const struct store_reading *reading, size_t query,
		     const struct fake_content *content)
{
	const char *kind = reading->queries[query].kind->kind, *key;
	_cleanup_json_ json_t *objects = json_copy(content->objects);
	size_t length = strlen(kind);
	json_t *object;
	int r = 0;

	json_object_foreach(objects, key, object) {
		_cleanup_json_ json_t *copy = NULL;

		if (r || strncmp(key, kind, length) || key[length] != '/')
			continue;
		copy = json_deep_copy(object);
		r = reading->fn(query, copy, reading->arg);
	}
	return r;
}

static int fake_read_op(struct store *store, const struct store_reading *reading, struct err *err)
{
	struct fake_content *content = options_of(store)->content;
	int r = hook(store, FAKE_READ, err);

	for (size_t i = 0; !r && i < reading->count; i++) {
		snprintf(reading->versions[i], STORE_VERSION_MAX, "%lu", content->version);
		r = read_kind(reading, i, content);
	}
	return r;
}

/* --- writing --------------------------------------------------------------------------------- */

static int apply_delete(struct fake_content *content, struct store_write *write)
{
	_cleanup_free_ char *key = key_of(write->key.kind->kind, write->key.name);
	json_t *old = json_object_get(content->objects, key);

	if (!old)
		return -ENOENT;
	if (write->expect && strcmp(write->expect, object_meta(old, "resourceVersion")) != 0)
		return -ESTALE;
	write->stored = json_incref(old);
	json_object_del(content->objects, key);
	content->writes++;
	return 0;
}

static int apply(struct fake_content *content, struct store_write *write)
{
	_cleanup_free_ char *key = NULL;
	const char *expect;
	json_t *old;

	if (write->op == STORE_DELETE)
		return apply_delete(content, write);
	key = key_of(json_string_value(json_object_get(write->object, "kind")),
		     object_meta(write->object, "name"));
	old = json_object_get(content->objects, key);
	expect = object_meta(write->object, "resourceVersion");
	if (write->op == STORE_CREATE && old)
		return -EEXIST;
	if (write->op != STORE_CREATE && !old)
		return -ENOENT;
	if (write->op != STORE_CREATE && expect &&
	    strcmp(expect, object_meta(old, "resourceVersion")) != 0)
		return -ESTALE;
	write->stored = stamped(content, write->object);
	json_object_set(content->objects, key, write->stored);
	return 0;
}

static void cancel(struct store_write *writes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!writes[i].result)
			writes[i].result = -ECANCELED;
		if (writes[i].stored)
			json_decref(TAKE_PTR(writes[i].stored));
	}
}

static int apply_all(struct fake_options *options, struct store_write *writes, size_t count)
{
	json_t *before = json_copy(options->content->objects);
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		writes[i].result = r < 0 ? -ECANCELED : apply(options->content, &writes[i]);
		if (!r)
			r = writes[i].result;
	}
	if (r < 0 && options->atomic) {
		cancel(writes, count);
		json_decref(options->content->objects);
		options->content->objects = json_incref(before);
	}
	json_decref(before);
	return r;
}

static int fake_commit_op(struct store *store, struct store_write *writes, size_t count,
			  struct err *err)
{
	struct fake_options *options = options_of(store);
	int r = hook(store, FAKE_BEFORE, err);

	if (!r) {
		r = apply_all(options, writes, count);
		if (r < 0)
			return err_errno(err, r, "fake store");
		r = hook(store, FAKE_AFTER, err);
	}
	for (size_t i = 0; r < 0 && i < count; i++) {
		writes[i].result = r;
		if (writes[i].stored)
			json_decref(TAKE_PTR(writes[i].stored));
	}
	return r;
}

static void fake_close(struct store *store)
{
	store_done(store);
	free(store);
}

static const struct store_ops atomic_ops = {
	.scheme = "fake",
	.atomic = true,
	.close = fake_close,
	.get = fake_get_op,
	.read = fake_read_op,
	.commit = fake_commit_op,
};

static const struct store_ops loose_ops = {
	.scheme = "fake",
	.close = fake_close,
	.get = fake_get_op,
	.read = fake_read_op,
	.commit = fake_commit_op,
};

struct store *fake_store_new(const struct fake_options *options)
{
	struct fake_store *fake = xcalloc(1, sizeof(*fake));

	fake->options = *options;
	if (store_init(&fake->store, options->atomic ? &atomic_ops : &loose_ops, NULL) < 0)
		abort();
	return &fake->store;
}
