/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of manifests' objects: which is whose, what the back end asks for, what is left of one.
 */
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "datastore/manifest.h"

uint64_t manifest_version(const char *text)
{
	return *text == 'm' ? strtoull(text + 1, NULL, 16) : 0;
}

bool manifest_is(const json_t *content, const struct manifest_object *object)
{
	const char *version = object_meta(content, "resourceVersion");
	struct store_key key, want = manifest_key(object);

	return content && version && manifest_version(version) == object->version &&
	       !store_key_of(content, &key, NULL) && key.kind->id == want.kind->id &&
	       !strcmp(key.ns, want.ns) && !strcmp(key.name, want.name);
}

json_t *manifest_pick(const json_t *contents, const struct manifest_object *object)
{
	json_t *content = json_array_get(contents, object->place);

	if (manifest_is(content, object))
		return content;
	for (size_t i = 0; i < json_array_size(contents); i++) {
		content = json_array_get(contents, i);
		if (manifest_is(content, object))
			return content;
	}
	return NULL;
}

/* Where the last content is lost: a key with nothing behind it. */
static json_t *bare(const struct manifest_object *object)
{
	struct store_key key = manifest_key(object);

	return object_bare(&key);
}

json_t *manifest_last(const struct manifest_object *object)
{
	json_t *content = object->object ?: manifest_pick(object->file->former, object);

	return content ? json_incref(content) : bare(object);
}

void manifest_let_go(struct manifests *manifests, struct manifest_file *file)
{
	for (size_t i = 0; manifests->keep && i < file->objects.count; i++)
		json_decref(TAKE_PTR(file->objects.v[i]->object));
}

/* --- for the back end --- */

json_t *manifests_content(struct dir *dir, const struct manifest_object *object)
{
	_cleanup_json_ json_t *contents = NULL;

	if (object->object)
		return json_incref(object->object);
	contents = manifest_file_contents(dir->manifests, object->file);
	return json_incref(manifest_pick(contents, object));
}

char *manifests_origin(const struct manifest_object *object)
{
	return object->line ? xasprintf("%s:%u", object->file->path, object->line)
			    : xstrdup(object->file->path);
}

static bool is_asked_for(struct dir *dir, const struct store_query *query,
			 const struct manifest_object *object)
{
	struct store_key key = manifest_key(object);

	return key.kind->id == query->kind->id &&
	       (!query->kind->namespaced || !query->ns || !strcmp(query->ns, key.ns)) &&
	       (!query->name || !strcmp(query->name, key.name)) &&
	       manifests_find(dir, &key) == object;
}

void manifests_each(struct dir *dir, const struct store_query *query,
		    void (*fn)(void *arg, json_t *object), void *arg)
{
	struct manifest_file *file;

	if (!dir->manifests)
		return;
	LL_FOREACH(dir->manifests->files, file) {
		_cleanup_json_ json_t *contents = NULL;

		for (size_t i = 0; i < file->objects.count; i++) {
			const struct manifest_object *object = file->objects.v[i];
			json_t *content = object->object;

			if (!is_asked_for(dir, query, object))
				continue;
			if (!content && !contents)
				contents = manifest_file_contents(dir->manifests, file);
			if (!content)
				content = manifest_pick(contents, object);
			if (content)
				fn(arg, content);
		}
	}
}
