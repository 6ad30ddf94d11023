/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "datastore/dir.h"

static int read_or_mend(struct dir *dir, const char *rel, json_t **ret_object)
{
	int r = dir_read_served(dir, rel, ret_object);

	return r == -EBADMSG || r == -EFBIG ? dir_mend(dir, rel, ret_object) : r;
}

int dir_get(struct store *store, const struct store_key *key, json_t **ret_object, struct err *err)
{
	struct dir *dir = to_dir(store);
	const struct manifest_object *manifest = manifests_find(dir, key);
	_cleanup_free_ char *rel = dir_rel(key), *text = key_text(key);
	int r;

	if (manifest) {
		*ret_object = manifests_content(dir, manifest);
		return *ret_object ? 0
				   : err_set(err, -EIO, "%s: its manifest cannot be read", text);
	}
	dir_scan_one(dir, rel);
	r = read_or_mend(dir, rel, ret_object);
	if (r == -ENOENT)
		return err_set(err, r, "%s: not found", text);
	return r < 0 ? err_errno(err, r, "%s", text) : 0;
}

/* --- lists --- */

struct item {
	const char *ns, *name;
	json_t *object;
};

struct listing {
	struct dir *dir;
	const struct store_query *query;
	struct item *items;
	size_t count, room;
	char **damaged; /* to be mended once the lock is free */
	size_t damaged_count;
	int r;
};

static void add_item(struct listing *listing, json_t *object)
{
	const char *name = object_meta(object, "name"), *ns = object_meta(object, "namespace");

	if (!name || (listing->query->name && strcmp(name, listing->query->name))) {
		json_decref(object);
		return;
	}
	if (listing->count == listing->room) {
		listing->room = listing->room ? listing->room * 2 : 64;
		listing->items = xrealloc(listing->items, listing->room, sizeof(*listing->items));
	}
	listing->items[listing->count++] =
		(struct item){ .ns = ns ? ns : "", .name = name, .object = object };
}

static void list_file(void *arg, const char *rel)
{
	struct listing *listing = arg;
	struct store_key key;
	json_t *object;
	int r = dir_read_served(listing->dir, rel, &object);

	if (r == -EBADMSG || r == -EFBIG) {
		listing->damaged = xrealloc(listing->damaged, listing->damaged_count + 1,
					    sizeof(*listing->damaged));
		listing->damaged[listing->damaged_count++] = xstrdup(rel);
	} else if (r < 0 && r != -ENOENT) {
		listing->r = r;
	} else if (!r) {
		bool ours =
			!store_key_of(object, &key, NULL) && !manifests_find(listing->dir, &key);

		if (ours)
			add_item(listing, object);
		else
			json_decref(object);
	}
}

static void list_manifest(void *arg, json_t *object)
{
	add_item(arg, json_incref(object));
}

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = strcmp(x->ns, y->ns);

	return r ? r : strcmp(x->name, y->name);
}

static void mend_all(struct listing *listing)
{
	for (size_t i = 0; i < listing->damaged_count; i++) {
		json_t *object;

		if (!dir_mend(listing->dir, listing->damaged[i], &object))
			add_item(listing, object);
		free(listing->damaged[i]);
	}
	free(listing->damaged);
}

static void finish(struct listing *listing, struct store_list *list)
{
	mend_all(listing);
	if (listing->count)
		qsort(listing->items, listing->count, sizeof(*listing->items), compare_items);
	list->items = json_array();
	for (size_t i = 0; i < listing->count; i++)
		json_array_append_new(list->items, listing->items[i].object);
	free(listing->items);
}

int dir_list(struct store *store, const struct store_query *queries, size_t count,
	     struct store_list *lists, struct err *err)
{
	_cleanup_free_ struct listing *listings = xcalloc(count, sizeof(*listings));
	struct dir *dir = to_dir(store);
	int r;

	for (size_t i = 0; i < count; i++)
		dir_scan(dir, queries[i].kind, queries[i].kind->namespaced ? queries[i].ns : NULL);
	r = dir_lock(dir, LOCK_SH, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		const struct dir_walk walk = { .top = "served",
					       .kind = queries[i].kind,
					       .ns = queries[i].kind->namespaced ? queries[i].ns
										 : NULL,
					       .fn = list_file,
					       .arg = &listings[i] };

		listings[i].dir = dir;
		listings[i].query = &queries[i];
		dir_walk(dir, &walk);
		manifests_each(dir, &queries[i], list_manifest, &listings[i]);
		dir_version_text(dir, dir->version, lists[i].version);
	}
	dir_unlock(dir);
	for (size_t i = 0; i < count; i++) {
		finish(&listings[i], &lists[i]);
		if (listings[i].r < 0)
			r = err_errno(err, listings[i].r, "datastore %s: %s", dir->path,
				      queries[i].kind->kind);
	}
	return r;
}
