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

/* One query of a reading. */
struct listing {
	struct dir *dir;
	const struct store_reading *reading;
	size_t query;
	char **damaged; /* to be mended once the lock is free; owned */
	size_t damaged_count;
	struct err *err;
	int r; /* not 0: the end of the reading */
};

static void hand_on(struct listing *listing, json_t *object)
{
	const struct store_reading *reading = listing->reading;
	const char *name = object_meta(object, "name");
	const char *wanted = reading->queries[listing->query].name;

	if (name && (!wanted || !strcmp(wanted, name)))
		listing->r = reading->fn(listing->query, object, reading->arg);
}

static void note_damaged(struct listing *listing, const char *rel)
{
	listing->damaged =
		xrealloc(listing->damaged, listing->damaged_count + 1, sizeof(*listing->damaged));
	listing->damaged[listing->damaged_count++] = xstrdup(rel);
}

static void list_file(void *arg, const char *rel)
{
	_cleanup_json_ json_t *object = NULL;
	struct listing *listing = arg;
	struct store_key key;
	int r;

	if (listing->r)
		return;
	r = dir_read_served(listing->dir, rel, &object);
	if (r == -EBADMSG || r == -EFBIG)
		note_damaged(listing, rel);
	else if (r < 0 && r != -ENOENT)
		listing->r = err_errno(listing->err, r, "datastore %s/served/%s",
				       listing->dir->path, rel);
	else if (!r && !store_key_of(object, &key, NULL) && !manifests_find(listing->dir, &key))
		hand_on(listing, object);
}

static void list_manifest(void *arg, json_t *object)
{
	struct listing *listing = arg;

	if (!listing->r)
		hand_on(listing, object);
}

/* Under the lock. */
static void list_query(struct listing *listing)
{
	const struct store_query *query = &listing->reading->queries[listing->query];
	const struct dir_walk walk = { .top = "served",
				       .kind = query->kind,
				       .ns = query->kind->namespaced ? query->ns : NULL,
				       .fn = list_file,
				       .arg = listing };

	dir_walk(listing->dir, &walk);
	if (!listing->r)
		manifests_each(listing->dir, query, list_manifest, listing);
}

static void mend_all(struct listing *listing)
{
	for (size_t i = 0; i < listing->damaged_count; i++) {
		_cleanup_json_ json_t *object = NULL;

		if (!listing->r && !dir_mend(listing->dir, listing->damaged[i], &object))
			hand_on(listing, object);
		free(listing->damaged[i]);
	}
	free(listing->damaged);
}

int dir_read(struct store *store, const struct store_reading *reading, struct err *err)
{
	_cleanup_free_ struct listing *listings = xcalloc(reading->count, sizeof(*listings));
	const struct store_query *queries = reading->queries;
	struct dir *dir = to_dir(store);
	int r;

	for (size_t i = 0; i < reading->count; i++)
		dir_scan(dir, queries[i].kind, queries[i].kind->namespaced ? queries[i].ns : NULL);
	r = dir_lock(dir, LOCK_SH, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < reading->count; i++) {
		listings[i] = (struct listing){
			.dir = dir, .reading = reading, .query = i, .err = err, .r = r
		};
		if (!r)
			list_query(&listings[i]);
		r = listings[i].r;
		dir_version_text(dir, dir->version, reading->versions[i]);
	}
	dir_unlock(dir);
	for (size_t i = 0; i < reading->count; i++) {
		listings[i].r = r;
		mend_all(&listings[i]);
		r = listings[i].r;
	}
	return r;
}
