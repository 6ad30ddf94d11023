/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits by hand. What is below objects/ and differs from served/ was written by a person: if it
 * can be decoded it becomes a transaction like any other; if not, served/ stays in force.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "datastore/dir.h"

/* Kernels stamp files by a clock that steps every few milliseconds: an edit within the same step
 * has the same time. */
#define RACY_NS 100000000

static void refuse(struct dir *dir, const char *rel, const struct err *err)
{
	_cleanup_free_ char *file = xasprintf("%s/objects/%s", dir->path, rel);
	_cleanup_free_ char *served = xasprintf("served/%s", rel);

	problem_set(&dir->store,
		    &(struct store_problem){ .file = file,
					     .text = (char *)err->text,
					     .served = !faccessat(dir->root, served, F_OK, 0) });
}

static void accept_file(struct dir *dir, const char *rel)
{
	_cleanup_free_ char *file = xasprintf("%s/objects/%s", dir->path, rel);

	problem_clear(&dir->store, file);
}

/* The object of objects/REL, if it can be served. */
static int load(struct dir *dir, const char *rel, json_t **ret_object, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("objects/%s", rel), *belongs = NULL;
	_cleanup_json_ json_t *object = NULL;
	struct store_key key;
	int r = dir_read_json(dir, path, DIR_FILE_MAX, &object, err);

	if (!r)
		r = object_check_shape(object, err);
	if (!r)
		r = store_key_of(object, &key, err);
	if (r < 0)
		return r;
	belongs = dir_rel(&key);
	if (strcmp(belongs, rel))
		return err_set(err, -EINVAL, "its kind, namespace and name belong to objects/%s",
			       belongs);
	if (key.kind->namespaced)
		object_name_write(object, "namespace", key.ns);
	if (dir->check)
		r = dir->check(object, err);
	if (!r)
		*ret_object = TAKE_PTR(object);
	return r;
}

/* The time that marks served/REL as taken from objects/REL, or as to be looked at again. */
static struct timespec mark(const struct stat *st)
{
	struct timespec now, mtime = st->st_mtim;
	int64_t age;

	clock_gettime(CLOCK_REALTIME, &now);
	age = (now.tv_sec - mtime.tv_sec) * 1000000000LL + now.tv_nsec - mtime.tv_nsec;
	if (age < RACY_NS && mtime.tv_nsec > 0)
		mtime.tv_nsec--;
	return mtime;
}

static void keep_identity(json_t *object, const json_t *old)
{
	static const char *const fields[] = { "uid", "creationTimestamp", "resourceVersion" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		object_name_write(object, fields[i], object_meta(old, fields[i]));
}

static void adopt_change(struct dir *dir, const char *rel, json_t *object, const json_t *old,
			 const struct timespec *mtime)
{
	struct dir_change change = { .adopted = true, .mtime = *mtime };
	struct store_key key;
	int r;

	if (store_key_of(object ? object : old, &key, NULL) < 0)
		return;
	change.rel = xstrdup(rel);
	change.change.event.kind = key.kind;
	change.change.event.type = !object ? STORE_DELETED : old ? STORE_MODIFIED : STORE_ADDED;
	change.change.event.object = object ? json_incref(object) : json_deep_copy(old);
	if (object && old)
		change.change.was = json_incref((json_t *)object_labels(old));
	r = dir_record_commit(dir, &change, 1);
	if (!r)
		accept_file(dir, rel);
	dir_change_done(&change);
}

void dir_adopt(struct dir *dir, const char *rel)
{
	_cleanup_free_ char *path = xasprintf("objects/%s", rel),
			    *served = xasprintf("served/%s", rel);
	_cleanup_json_ json_t *object = NULL, *old = NULL;
	struct timespec mtime = { 0 };
	struct err err = { 0 };
	struct stat st;

	if (dir_same_time(dir, rel)) {
		accept_file(dir, rel);
		return;
	}
	(void)dir_read_served(dir, rel, &old);
	if (fstatat(dir->root, path, &st, 0) < 0) {
		accept_file(dir, rel);
		if (errno == ENOENT && old)
			adopt_change(dir, rel, NULL, old, &mtime);
		return;
	}
	mtime = mark(&st);
	if (load(dir, rel, &object, &err) < 0) {
		refuse(dir, rel, &err);
		return;
	}
	if (old) {
		keep_identity(object, old);
	} else {
		object_stamp(object);
	}
	if (old && object_same(object, old)) {
		utimensat(dir->root, served, (struct timespec[]){ mtime, mtime }, 0);
		accept_file(dir, rel);
		return;
	}
	adopt_change(dir, rel, object, old, &mtime);
}

/* --- finding them --- */

struct scan {
	struct dir *dir;
	char **rels;
	size_t count, room;
};

static void note(struct scan *scan, const char *rel)
{
	if (scan->count == scan->room) {
		scan->room = scan->room ? scan->room * 2 : 16;
		scan->rels = xrealloc(scan->rels, scan->room, sizeof(*scan->rels));
	}
	scan->rels[scan->count++] = xstrdup(rel);
}

static void look_at_object(void *arg, const char *rel)
{
	struct scan *scan = arg;

	if (!dir_same_time(scan->dir, rel))
		note(scan, rel);
}

static void look_at_served(void *arg, const char *rel)
{
	struct scan *scan = arg;
	_cleanup_free_ char *path = xasprintf("objects/%s", rel);

	if (faccessat(scan->dir->root, path, F_OK, 0) < 0 && errno == ENOENT)
		note(scan, rel);
}

static void adopt_all(struct scan *scan)
{
	bool locked = scan->count && !dir_lock(scan->dir, LOCK_EX, NULL);

	for (size_t i = 0; i < scan->count; i++) {
		if (locked)
			dir_adopt(scan->dir, scan->rels[i]);
		free(scan->rels[i]);
	}
	if (locked)
		dir_unlock(scan->dir);
	free(scan->rels);
}

void dir_scan(struct dir *dir, const struct store_kind *kind, const char *ns)
{
	struct scan scan = { .dir = dir };
	struct dir_walk walk = {
		.top = "objects", .kind = kind, .ns = ns, .fn = look_at_object, .arg = &scan
	};

	dir_walk(dir, &walk);
	walk.top = "served";
	walk.fn = look_at_served;
	dir_walk(dir, &walk);
	adopt_all(&scan);
}

void dir_scan_one(struct dir *dir, const char *rel)
{
	struct scan scan = { .dir = dir };

	look_at_object(&scan, rel);
	adopt_all(&scan);
}

/* What another process mended, replaced or removed, or a person took away, is no problem. */
void dir_forget_mended(struct dir *dir)
{
	_cleanup_free_ char *folder = xasprintf("%s/objects/", dir->path);
	struct store_problem_list *problems = &dir->store.problems;

	for (size_t i = problems->count; i--;) {
		const char *file = problems->all[i].file;

		if (!strncmp(file, folder, strlen(folder)) &&
		    dir_same_time(dir, file + strlen(folder)))
			problem_clear(&dir->store, file);
	}
}

/* --- damage --- */

static bool find_in_log(struct dir *dir, const char *rel, json_t **ret_object)
{
	for (uint64_t n = dir->version; n && dir_record_exists(dir, n); n--) {
		struct dir_change *changes;
		size_t count;
		bool found = false;

		if (dir_record_read(dir, n, &changes, &count) < 0)
			return false;
		for (size_t i = 0; i < count; i++) {
			if (!found && !strcmp(changes[i].rel, rel)) {
				*ret_object = json_incref(changes[i].change.event.object);
				found = true;
			}
			dir_change_done(&changes[i]);
		}
		free(changes);
		if (found)
			return true;
	}
	return false;
}

/* From objects/REL, where a person may have left out what the store assigns. */
static int load_whole(struct dir *dir, const char *rel, json_t **ret_object)
{
	char version[24];
	int r = load(dir, rel, ret_object, NULL);

	if (r < 0)
		return r;
	if (!object_meta(*ret_object, "uid"))
		object_stamp(*ret_object);
	snprintf(version, sizeof(version), "%" PRIu64, dir->version);
	if (!object_meta(*ret_object, "resourceVersion"))
		object_name_write(*ret_object, "resourceVersion", version);
	return 0;
}

/* served/REL cannot be read (a disk's fault: nobody but the store writes there). Its last content
 * is in the log, or else in objects/. */
int dir_mend_locked(struct dir *dir, const char *rel, json_t **ret_object)
{
	_cleanup_free_ char *served = xasprintf("served/%s", rel);
	_cleanup_json_ json_t *object = NULL;
	int r = dir_read_served(dir, rel, &object);

	if (r == -EBADMSG || r == -EFBIG) {
		if (!find_in_log(dir, rel, &object) && load_whole(dir, rel, &object) < 0)
			return r;
		r = dir_write_tmp(dir, "tmp/mend", object, NULL, true);
		if (!r && renameat(dir->root, "tmp/mend", dir->root, served) < 0)
			r = -errno;
	}
	if (!r)
		*ret_object = TAKE_PTR(object);
	return r;
}

int dir_mend(struct dir *dir, const char *rel, json_t **ret_object)
{
	int r = dir_lock(dir, LOCK_EX, NULL);

	if (r < 0)
		return r;
	r = dir_mend_locked(dir, rel, ret_object);
	dir_unlock(dir);
	return r;
}
