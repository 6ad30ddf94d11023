/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions. All that takes room is written to tmp/ first; then one rename puts the record into
 * log/, which is the commit; then renames put the objects into place; then the version number
 * is raised. Whoever takes the lock next and finds a record above the version number does the
 * rest of it, so a writer may be killed at any point.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "datastore/dir.h"

#define VERSION_HIGHEST (1ULL << 53) /* beyond it somebody else wrote the file */
#define SYNC_FILES 16		     /* above it, the whole file system is flushed */
#define HISTORY_FULL 8		     /* records kept when the disk is full */

static const char *const type_names[] = {
	[STORE_ADDED] = "ADDED",
	[STORE_MODIFIED] = "MODIFIED",
	[STORE_DELETED] = "DELETED",
};

void dir_change_done(struct dir_change *change)
{
	json_decref(change->change.event.object);
	json_decref((json_t *)change->change.was);
	free(change->rel);
}

static int parse_number(const char *text, uint64_t *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	if (errno || end == text || (*end && strcmp(end, "\n") && strcmp(end, ".json")) ||
	    *ret_number > VERSION_HIGHEST)
		return -EIO;
	return 0;
}

int dir_version(struct dir *dir, uint64_t *ret_version)
{
	_cleanup_free_ char *text = NULL;
	int r = file_read(dir->root, "version", 64, &text, NULL);

	if (r == -ENOENT || r == -EFBIG)
		return -EIO;
	return r < 0 ? r : parse_number(text, ret_version);
}

void dir_version_text(struct dir *dir, uint64_t version, char *text)
{
	uint64_t hash = manifests_hash(dir);

	if (hash)
		snprintf(text, STORE_VERSION_MAX, "%" PRIu64 ".%016" PRIx64, version, hash);
	else
		snprintf(text, STORE_VERSION_MAX, "%" PRIu64, version);
}

static char *record_path(uint64_t version)
{
	return xasprintf("log/%" PRIu64 ".json", version);
}

bool dir_record_exists(struct dir *dir, uint64_t version)
{
	_cleanup_free_ char *path = record_path(version);

	return !faccessat(dir->root, path, F_OK, 0);
}

/* --- reading --- */

static int decode_change(const json_t *tree, struct dir_change *ret_change)
{
	const char *type = json_string_value(json_object_get(tree, "type"));
	const char *adopted = json_string_value(json_object_get(tree, "adopted"));
	json_t *object = json_object_get(tree, "object");
	struct dir_change change = { 0 };
	struct store_key key;
	int at = -1;

	if (!type || store_key_of(object, &key, NULL) < 0 || object_check_shape(object, NULL) < 0 ||
	    !object_meta(object, "resourceVersion"))
		return -EIO;
	for (int i = 0; i < 3; i++)
		if (!strcmp(type, type_names[i]))
			at = i;
	if (at < 0)
		return -EIO;
	if (adopted && sscanf(adopted, "%ld.%ld", &change.mtime.tv_sec, &change.mtime.tv_nsec) != 2)
		return -EIO;
	change.adopted = adopted;
	change.change.event.type = (enum store_event_type)at;
	change.change.event.kind = key.kind;
	change.change.event.object = json_incref(object);
	change.change.was = json_incref(json_object_get(tree, "was"));
	change.rel = dir_rel(&key);
	*ret_change = change;
	return 0;
}

int dir_record_read(struct dir *dir, uint64_t version, struct dir_change **ret_changes,
		    size_t *ret_count)
{
	_cleanup_free_ char *path = record_path(version);
	_cleanup_free_ struct dir_change *changes = NULL;
	_cleanup_json_ json_t *record = NULL;
	size_t count, done = 0;
	const json_t *list;
	int r = dir_read_json(dir, path, DIR_RECORD_MAX, &record, NULL);

	if (r < 0)
		return r;
	list = json_object_get(record, "changes");
	count = json_array_size(list);
	changes = xcalloc(count + 1, sizeof(*changes));
	while (!r && done < count) {
		r = decode_change(json_array_get(list, done), &changes[done]);
		done += !r;
	}
	if (r < 0) {
		while (done--)
			dir_change_done(&changes[done]);
		return r;
	}
	*ret_changes = TAKE_PTR(changes);
	*ret_count = count;
	return 0;
}

/* --- writing --- */

static json_t *encode_change(const struct dir_change *change)
{
	json_t *tree = json_object();

	json_object_set_new(tree, "type", json_string(type_names[change->change.event.type]));
	json_object_set(tree, "object", change->change.event.object);
	if (change->change.was)
		json_object_set(tree, "was", (json_t *)change->change.was);
	if (change->adopted) {
		_cleanup_free_ char *mtime =
			xasprintf("%ld.%09ld", change->mtime.tv_sec, change->mtime.tv_nsec);

		json_object_set_new(tree, "adopted", json_string(mtime));
	}
	return tree;
}

static int stage_change(struct dir *dir, struct dir_change *change, size_t i,
			const struct timespec *now)
{
	_cleanup_free_ char *served = xasprintf("tmp/%zu.s", i),
			    *object = xasprintf("tmp/%zu.o", i);
	_cleanup_free_ char *to_served = xasprintf("served/%s", change->rel);
	_cleanup_free_ char *to_object = xasprintf("objects/%s", change->rel);
	const json_t *tree = change->change.event.object;
	int r;

	if (change->change.event.type == STORE_DELETED)
		return 0;
	r = dir_make_parents(dir, to_served);
	if (!r)
		r = dir_make_parents(dir, to_object);
	if (!r)
		r = dir_write_tmp(dir, served, tree, change->adopted ? &change->mtime : now, false);
	if (!r && !change->adopted)
		r = dir_write_tmp(dir, object, tree, now, false);
	return r;
}

static int sync_change(struct dir *dir, const struct dir_change *change, size_t i)
{
	_cleanup_free_ char *served = xasprintf("tmp/%zu.s", i);
	_cleanup_close_ int fd = -1;

	if (change->change.event.type == STORE_DELETED)
		return 0;
	fd = openat(dir->root, served, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Many files are made durable by one flush of their file system; one each takes seconds. */
static int sync_all(struct dir *dir, const struct dir_change *changes, size_t count)
{
	int r = 0;

	if (count > SYNC_FILES)
		return syncfs(dir->root) < 0 ? -errno : 0;
	for (size_t i = 0; !r && i < count; i++)
		r = sync_change(dir, &changes[i], i);
	return r;
}

static int stage_all(struct dir *dir, struct dir_change *changes, size_t count, uint64_t version)
{
	_cleanup_json_ json_t *number = json_integer((json_int_t)version);
	struct timespec now;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; !r && i < count; i++)
		r = stage_change(dir, &changes[i], i, &now);
	if (!r)
		r = sync_all(dir, changes, count);
	return r < 0 ? r : dir_write_tmp(dir, "tmp/version", number, NULL, false);
}

static int remove_file(struct dir *dir, const char *path)
{
	return unlinkat(dir->root, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int move(struct dir *dir, const char *from, const char *to)
{
	return renameat(dir->root, from, dir->root, to) < 0 ? -errno : 0;
}

static int apply_change(struct dir *dir, const struct dir_change *change, size_t i)
{
	_cleanup_free_ char *served = xasprintf("tmp/%zu.s", i),
			    *object = xasprintf("tmp/%zu.o", i);
	_cleanup_free_ char *to_served = xasprintf("served/%s", change->rel);
	_cleanup_free_ char *to_object = xasprintf("objects/%s", change->rel);
	int r;

	if (change->change.event.type == STORE_DELETED) {
		r = remove_file(dir, to_served);
		return r < 0 || change->adopted ? r : remove_file(dir, to_object);
	}
	r = move(dir, served, to_served);
	return r < 0 || change->adopted ? r : move(dir, object, to_object);
}

static int apply_all(struct dir *dir, struct dir_change *changes, size_t count)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = apply_change(dir, &changes[i], i);
	return r < 0 ? r : move(dir, "tmp/version", "version");
}

static int write_record(struct dir *dir, struct dir_change *changes, size_t count, uint64_t version)
{
	_cleanup_json_ json_t *record = json_object();
	_cleanup_free_ char *path = record_path(version);
	_cleanup_close_ int folder = -1;
	json_t *list = json_array();
	int r;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, encode_change(&changes[i]));
	json_object_set_new(record, "version", json_integer((json_int_t)version));
	json_object_set_new(record, "changes", list);
	r = dir_write_tmp(dir, "tmp/record", record, NULL, true);
	if (!r)
		r = move(dir, "tmp/record", path);
	if (r < 0)
		return r;
	folder = openat(dir->root, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder >= 0)
		fsync(folder);
	return 0;
}

/* Removes the records before the last ones, usually one. */
static void trim(struct dir *dir, uint64_t keep)
{
	for (uint64_t n = dir->version; n > keep; n--) {
		_cleanup_free_ char *path = record_path(n - keep);

		if (unlinkat(dir->root, path, 0) < 0)
			return;
	}
}

static int stage_and_write(struct dir *dir, struct dir_change *changes, size_t count,
			   uint64_t version)
{
	int r = stage_all(dir, changes, count, version);

	if (!r)
		r = write_record(dir, changes, count, version);
	if (r < 0)
		dir_clean_tmp(dir);
	return r;
}

int dir_record_commit(struct dir *dir, struct dir_change *changes, size_t count)
{
	uint64_t version = dir->version + 1;
	char text[32];
	int r;

	if (dir->unfinished)
		return -EIO;
	snprintf(text, sizeof(text), "%" PRIu64, version);
	for (size_t i = 0; i < count; i++)
		object_name_write(changes[i].change.event.object, "resourceVersion", text);
	r = stage_and_write(dir, changes, count, version);
	if (r == -ENOSPC || r == -EDQUOT) {
		/* Watches that are behind list again; a full store still takes a delete. */
		trim(dir, HISTORY_FULL);
		r = stage_and_write(dir, changes, count, version);
	}
	if (r < 0)
		return r;
	/* Committed: what fails from here on, the next one to take the lock does again. */
	if (apply_all(dir, changes, count) < 0) {
		dir->unfinished = true;
		return 0;
	}
	dir->version = version;
	trim(dir, dir->history);
	return 0;
}

/* --- after a crash --- */

static int redo(struct dir *dir, uint64_t version)
{
	struct dir_change *changes;
	size_t count;
	int r = dir_record_read(dir, version, &changes, &count);

	if (r < 0)
		return r;
	r = stage_all(dir, changes, count, version);
	if (!r)
		r = apply_all(dir, changes, count);
	for (size_t i = 0; i < count; i++)
		dir_change_done(&changes[i]);
	free(changes);
	return r;
}

/* A record that cannot be read is put aside: it must not stop every writer for ever. */
static int redo_or_put_aside(struct dir *dir, uint64_t version)
{
	_cleanup_free_ char *path = record_path(version);
	_cleanup_free_ char *aside = xasprintf("log/%" PRIu64 ".damaged", version);
	_cleanup_free_ char *file = xasprintf("%s/%s", dir->path, aside);
	int r = redo(dir, version);

	if (r != -EBADMSG && r != -EIO && r != -EFBIG)
		return r;
	problem_set(&dir->store,
		    &(struct store_problem){ .file = file,
					     .text = "a transaction that is not readable" });
	return move(dir, path, aside);
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static size_t list_records(struct dir *dir, uint64_t **ret_numbers)
{
	struct dirent **names;
	int count = scandirat(dir->root, "log", &names, NULL, NULL);
	uint64_t *numbers;
	size_t used = 0;

	if (count < 0)
		return 0;
	numbers = xcalloc((size_t)count + 1, sizeof(*numbers));
	for (int i = 0; i < count; i++) {
		const char *dot = strrchr(names[i]->d_name, '.');

		if (dot && dot > names[i]->d_name && !strcmp(dot, ".json") &&
		    !parse_number(names[i]->d_name, &numbers[used]))
			used++;
		free(names[i]);
	}
	free(names);
	qsort(numbers, used, sizeof(*numbers), compare_numbers);
	*ret_numbers = numbers;
	return used;
}

struct highest {
	struct dir *dir;
	uint64_t version;
};

static void raise_highest(void *arg, const char *rel)
{
	struct highest *highest = arg;
	_cleanup_json_ json_t *object = NULL;
	const char *text;
	uint64_t version;

	if (dir_read_served(highest->dir, rel, &object) < 0)
		return;
	text = object_meta(object, "resourceVersion");
	if (text && !parse_number(text, &version) && version > highest->version)
		highest->version = version;
}

/* The counter is lost: take it from the objects and the records, and do all records again. */
static int rebuild(struct dir *dir)
{
	struct highest highest = { .dir = dir };
	const struct dir_walk walk = { .top = "served", .fn = raise_highest, .arg = &highest };
	_cleanup_free_ uint64_t *numbers = NULL;
	size_t count = list_records(dir, &numbers);
	_cleanup_json_ json_t *number = NULL;
	int r = 0;

	dir_walk(dir, &walk);
	for (size_t i = 0; !r && i < count; i++)
		r = redo_or_put_aside(dir, numbers[i]);
	if (r < 0)
		return r;
	dir->version = count && numbers[count - 1] > highest.version ? numbers[count - 1]
								     : highest.version;
	number = json_integer((json_int_t)dir->version);
	r = dir_write_tmp(dir, "tmp/version", number, NULL, true);
	return r < 0 ? r : move(dir, "tmp/version", "version");
}

int dir_recover(struct dir *dir)
{
	int r = dir_version(dir, &dir->version);

	dir->unfinished = false;
	dir_clean_tmp(dir);
	if (r == -EIO)
		return rebuild(dir);
	while (!r && dir_record_exists(dir, dir->version + 1)) {
		r = redo_or_put_aside(dir, dir->version + 1);
		if (!r)
			r = dir_version(dir, &dir->version);
	}
	return r;
}
