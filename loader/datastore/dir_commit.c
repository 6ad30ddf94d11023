/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <uthash.h>

#include "base/arena.h"
#include "datastore/dir.h"

/* A transaction while it is put together, under the exclusive lock. */
struct commit {
	struct dir *dir;
	struct dir_change *changes;
	size_t count;
	struct changed *changed; /* by path, to find one that is written twice */
};

struct changed {
	const char *rel; /* of changes */
	UT_hash_handle hh;
};

static int refuse_manifest(struct commit *commit, const struct store_write *write,
			   const json_t *current, struct err *err)
{
	const struct manifest_object *manifest = manifests_find(commit->dir, &write->key);
	_cleanup_free_ char *origin = NULL;

	/* What should not be there twice may be removed here. */
	if (!manifest || (write->op == STORE_DELETE && current))
		return 0;
	origin = manifests_origin(manifest);
	return err_set(err, -EROFS, "comes from the file %s: change it there", origin);
}

static bool in_commit(const struct commit *commit, const char *rel)
{
	struct changed *changed;

	HASH_FIND_STR(commit->changed, rel, changed);
	return changed;
}

static void note_changed(struct commit *commit, const char *rel)
{
	struct changed *changed = xcalloc(1, sizeof(*changed));

	changed->rel = rel;
	HASH_ADD_KEYPTR(hh, commit->changed, changed->rel, strlen(changed->rel), changed);
}

static void forget_changed(struct commit *commit)
{
	struct changed *changed, *next;

	HASH_ITER(hh, commit->changed, changed, next) {
		HASH_DEL(commit->changed, changed);
		free(changed);
	}
}

static int check_version(const json_t *current, const char *expect, struct err *err)
{
	const char *version = object_meta(current, "resourceVersion");

	if (!expect || !*expect || (version && !strcmp(version, expect)))
		return 0;
	return err_set(err, -ESTALE, "has changed: its version is %s, not %s",
		       version ? version : "unknown", expect);
}

/* The object as it will be stored. */
static json_t *compose(const struct store_write *write, const json_t *current)
{
	json_t *object;

	if (write->op == STORE_UPDATE_STATUS) {
		json_t *status = json_object_get(write->object, "status");

		object = json_deep_copy(current);
		if (status)
			json_object_set_new(object, "status", json_deep_copy(status));
		else
			json_object_del(object, "status");
		return object;
	}
	object = json_deep_copy(write->object);
	if (!current) {
		object_stamp(object);
	} else {
		json_t *status = json_object_get(current, "status");

		object_name_write(object, "uid", object_meta(current, "uid"));
		object_name_write(object, "creationTimestamp",
				  object_meta(current, "creationTimestamp"));
		if (status && !json_object_get(object, "status"))
			json_object_set_new(object, "status", json_deep_copy(status));
	}
	if (write->key.kind->namespaced)
		object_name_write(object, "namespace", write->key.ns);
	else
		json_object_del(json_object_get(object, "metadata"), "namespace");
	return object;
}

static int check_object(struct commit *commit, const json_t *object, struct err *err)
{
	size_t size = json_dumpb(object, NULL, 0, JSON_COMPACT);

	if (size > STORE_OBJECT_MAX)
		return err_set(err, -EMSGSIZE, "%zu bytes as JSON, at most %d", size,
			       STORE_OBJECT_MAX);
	return commit->dir->check ? commit->dir->check(object, err) : 0;
}

static void add_change(struct commit *commit, char *rel, json_t *object, const json_t *current,
		       const struct store_write *write)
{
	struct dir_change *change = &commit->changes[commit->count++];

	change->rel = rel;
	note_changed(commit, rel);
	change->change.event.kind = write->key.kind;
	change->change.event.object = object;
	change->change.event.type = write->op == STORE_DELETE ? STORE_DELETED
				    : current		      ? STORE_MODIFIED
							      : STORE_ADDED;
	if (change->change.event.type == STORE_MODIFIED)
		change->change.was = json_incref((json_t *)object_labels(current));
}

static int add_delete(struct commit *commit, struct store_write *write, char *rel,
		      const json_t *current, struct err *err)
{
	int r = check_version(current, write->expect, err);

	if (r < 0)
		return r;
	write->stored = json_deep_copy(current);
	add_change(commit, xstrdup(rel), json_incref(write->stored), current, write);
	return 0;
}

static int add_put(struct commit *commit, struct store_write *write, char *rel, json_t *current,
		   struct err *err)
{
	const char *uid = object_meta(write->object, "uid");
	_cleanup_json_ json_t *object = NULL;
	int r = 0;

	if (write->op != STORE_CREATE)
		r = check_version(current, object_meta(write->object, "resourceVersion"), err);
	if (!r && current && uid && *uid && strcmp(uid, object_meta(current, "uid") ?: ""))
		r = err_set(err, -ESTALE, "is another object now: its uid is %s, not %s",
			    object_meta(current, "uid"), uid);
	if (r < 0)
		return r;
	object = compose(write, current);
	r = check_object(commit, object, err);
	if (r < 0)
		return r;
	if (current && object_same(object, current)) {
		write->stored = json_incref(current);
		return 0;
	}
	write->stored = json_incref(object);
	add_change(commit, xstrdup(rel), TAKE_PTR(object), current, write);
	return 0;
}

static int add_write(struct commit *commit, struct store_write *write, struct err *err)
{
	_cleanup_free_ char *rel = dir_rel(&write->key);
	_cleanup_json_ json_t *current = NULL;
	int r;

	if (in_commit(commit, rel))
		return err_set(err, -EINVAL, "is written twice in one transaction");
	if (commit->dir->stores_only && !dir_same_time(commit->dir, rel))
		return err_set(err, -EBUSY, "was edited by hand");
	dir_adopt(commit->dir, rel);
	r = dir_mend_locked(commit->dir, rel, &current);
	if (r < 0 && r != -ENOENT)
		return err_errno(err, r, "%s/served/%s", commit->dir->path, rel);
	r = refuse_manifest(commit, write, current, err);
	if (r < 0)
		return r;
	if (write->op == STORE_CREATE && current)
		return err_set(err, -EEXIST, "already exists");
	if (write->op != STORE_CREATE && !current)
		return err_set(err, -ENOENT, "not found");
	if (write->op == STORE_DELETE)
		return add_delete(commit, write, rel, current, err);
	return add_put(commit, write, rel, current, err);
}

static int add_all(struct commit *commit, struct store_write *writes, size_t count, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		struct err one;
		_cleanup_free_ char *text = key_text(&writes[i].key);
		int failed = add_write(commit, &writes[i], &one);

		writes[i].result = failed < 0 ? failed : -ECANCELED;
		if (failed < 0 && !r)
			r = err_set(err, failed, "%s: %s", text, one.text);
	}
	return r;
}

static int run(struct commit *commit, struct store_write *writes, size_t count, struct err *err)
{
	int r = add_all(commit, writes, count, err);
	bool failed = r < 0;

	if (!r && commit->count) {
		r = dir_record_commit(commit->dir, commit->changes, commit->count);
		if (r < 0)
			err_errno(err, r, "datastore %s", commit->dir->path);
	}
	for (size_t i = 0; i < count; i++) {
		if (!r || writes[i].result == -ECANCELED)
			writes[i].result = failed ? -ECANCELED : r;
		if (r < 0 && writes[i].stored)
			json_decref(TAKE_PTR(writes[i].stored));
	}
	return r;
}

int dir_commit(struct store *store, struct store_write *writes, size_t count, struct err *err)
{
	struct commit commit = { .dir = to_dir(store) };
	int r = dir_lock(commit.dir, LOCK_EX, err);

	if (r < 0)
		return r;
	commit.changes = xcalloc(count, sizeof(*commit.changes));
	r = run(&commit, writes, count, err);
	forget_changed(&commit);
	for (size_t i = 0; i < commit.count; i++)
		dir_change_done(&commit.changes[i]);
	free(commit.changes);
	dir_unlock(commit.dir);
	return r;
}
