/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/file.h"

#define FILES_MAX 10000

/* Objects in force by path below served/. */
struct manifest_index {
	char *rel;
	struct manifest_object object; /* owned */
	UT_hash_handle hh;
};

static void index_free(struct manifest_index *index)
{
	struct manifest_index *entry, *next;

	HASH_ITER(hh, index, entry, next) {
		HASH_DEL(index, entry);
		json_decref(entry->object.object);
		free(entry->object.origin);
		free(entry->rel);
		free(entry);
	}
}

static struct manifest_index *index_find(struct manifest_index *index, const char *rel)
{
	struct manifest_index *entry;

	HASH_FIND_STR(index, rel, entry);
	return entry;
}

const struct manifest_object *manifests_find(struct dir *dir, const struct store_key *key)
{
	_cleanup_free_ char *rel = NULL;
	struct manifest_index *entry;

	if (!dir->manifests || !dir->manifests->index)
		return NULL;
	rel = dir_rel(key);
	entry = index_find(dir->manifests->index, rel);
	return entry ? &entry->object : NULL;
}

void manifests_each(struct dir *dir, void (*fn)(void *arg, const struct manifest_object *object),
		    void *arg)
{
	struct manifest_index *entry, *next;

	if (!dir->manifests)
		return;
	HASH_ITER(hh, dir->manifests->index, entry, next)
		fn(arg, &entry->object);
}

uint64_t manifests_hash(const struct dir *dir)
{
	return dir->manifests ? dir->manifests->hash : 0;
}

const char *manifests_path(const struct dir *dir)
{
	return dir->manifests ? dir->manifests->path : NULL;
}

/* --- the folder --- */

static bool is_manifest(const char *name)
{
	static const char *const ends[] = { ".yaml", ".yml", ".json" };
	size_t size = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t end = strlen(ends[i]);

		if (size > end && !strcmp(name + size - end, ends[i]))
			return true;
	}
	return false;
}

static int wanted(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && is_manifest(entry->d_name);
}

static bool same_stat(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static struct manifest_file *file_named(struct manifests *manifests, const char *name)
{
	struct manifest_file *file;

	LL_FOREACH(manifests->files, file)
		if (!strcmp(file->name, name))
			return file;
	return NULL;
}

/* True: its objects may have changed. */
static bool look_at(struct manifests *manifests, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", manifests->path, name);
	struct manifest_file *file = file_named(manifests, name);
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (file && same_stat(&file->seen, &st)) {
		file->present = true;
		return false;
	}
	if (!file) {
		file = xcalloc(1, sizeof(*file));
		file->name = xstrdup(name);
		file->path = TAKE_PTR(path);
		LL_PREPEND(manifests->files, file);
	}
	file->present = true;
	file->seen = st;
	manifest_file_load(manifests, file);
	return true;
}

static bool forget_absent(struct manifests *manifests)
{
	struct manifest_file *file, *next;
	bool changed = false;

	LL_FOREACH_SAFE(manifests->files, file, next) {
		if (file->present)
			continue;
		LL_DELETE(manifests->files, file);
		manifest_file_forget(manifests, file);
		manifest_file_free(file);
		changed = true;
	}
	return changed;
}

/* -errno: the folder is not to be trusted or not to be read. */
static int read_folder(struct manifests *manifests, bool *ret_changed, struct err *err)
{
	struct manifest_file *file;
	struct dirent **names = NULL;
	bool changed = false;
	int count = 0, r = 0;

	if (!access(manifests->path, F_OK)) {
		r = dir_check_private(manifests->path, err);
		if (r < 0)
			return r;
		count = scandir(manifests->path, &names, wanted, alphasort);
		if (count < 0)
			return err_errno(err, -errno, "%s", manifests->path);
	}
	if (count > FILES_MAX)
		r = err_set(err, -EFBIG, "%s: %d files, at most %d", manifests->path, count,
			    FILES_MAX);
	LL_FOREACH(manifests->files, file)
		file->present = false;
	for (int i = 0; i < count; i++) {
		changed |= !r && look_at(manifests, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	if (!r)
		*ret_changed = forget_absent(manifests) || changed;
	return r;
}

/* --- merging --- */

static int by_name(const struct manifest_file *a, const struct manifest_file *b)
{
	return strcmp(a->name, b->name);
}

static bool in_store(struct manifests *manifests, const char *rel)
{
	_cleanup_free_ char *served = xasprintf("served/%s", rel);

	return !faccessat(manifests->dir->root, served, F_OK, 0);
}

/* One object in two places: the one that was in force stays, whoever comes later is named. */
static void merge_object(struct manifests *manifests, struct manifest_index **index,
			 struct manifest_object *object)
{
	_cleanup_free_ char *rel = dir_rel(&object->key);
	struct manifest_index *entry = index_find(*index, rel);

	if (entry || (!object->held && in_store(manifests, rel))) {
		object->held = false;
		return;
	}
	object->held = true;
	entry = xcalloc(1, sizeof(*entry));
	entry->object = *object;
	json_incref(entry->object.object);
	entry->object.origin = xstrdup(object->origin);
	entry->rel = TAKE_PTR(rel);
	HASH_ADD_KEYPTR(hh, *index, entry->rel, strlen(entry->rel), entry);
}

static struct manifest_index *merge(struct manifests *manifests)
{
	struct manifest_index *index = NULL;
	struct manifest_file *file;

	LL_SORT(manifests->files, by_name);
	for (int held = 1; held >= 0; held--)
		LL_FOREACH(manifests->files, file)
			for (size_t i = 0; i < file->count; i++)
				if (file->objects[i].held == held) {
					merge_object(manifests, &index, &file->objects[i]);
					file->dirty |= file->objects[i].held != held;
				}
	return index;
}

static void keep_files(struct manifests *manifests)
{
	struct manifest_file *file;

	LL_FOREACH(manifests->files, file) {
		if (file->dirty)
			manifest_file_keep(manifests, file);
		file->dirty = false;
	}
}

/* --- one object in two places --- */

static void note_twice(struct manifests *manifests, const struct manifest_object *object,
		       const char *other, const char *which)
{
	_cleanup_free_ char *name = key_text(&object->key);
	_cleanup_free_ char *text = xasprintf("is in two places, here and in %s: %s is "
					      "in force; remove one of them",
					      other, which);

	problem_set(&manifests->dir->store, &(struct store_problem){ .file = object->origin,
								     .object = name,
								     .text = text,
								     .served = true,
								     .twice = true });
	manifests->twice =
		xrealloc(manifests->twice, manifests->twice_count + 1, sizeof(*manifests->twice));
	manifests->twice[manifests->twice_count++] = xstrdup(object->origin);
}

static void find_twice(struct manifests *manifests, const struct manifest_object *object)
{
	_cleanup_free_ char *rel = dir_rel(&object->key);
	_cleanup_free_ char *file = xasprintf("%s/objects/%s", manifests->dir->path, rel);
	const struct manifest_index *entry = index_find(manifests->index, rel);

	if (entry && !object->held)
		note_twice(manifests, object, entry->object.origin, "the other one");
	else if (in_store(manifests, rel))
		note_twice(manifests, object, file, entry ? "this one" : "the other one");
}

static void clear_twice(struct manifests *manifests)
{
	for (size_t i = 0; i < manifests->twice_count; i++) {
		problem_clear(&manifests->dir->store, manifests->twice[i]);
		free(manifests->twice[i]);
	}
	free(manifests->twice);
	manifests->twice = NULL;
	manifests->twice_count = 0;
}

void manifests_find_twice(struct dir *dir)
{
	struct manifest_file *file;

	if (!dir->manifests)
		return;
	clear_twice(dir->manifests);
	LL_FOREACH(dir->manifests->files, file)
		for (size_t i = 0; i < file->count; i++)
			find_twice(dir->manifests, &file->objects[i]);
}

/* FNV-1a of all keys and versions, in any order. 0: there are none. */
static uint64_t hash_of(struct manifest_index *index)
{
	struct manifest_index *entry, *next;
	uint64_t sum = 0;

	HASH_ITER(hh, index, entry, next) {
		const char *texts[] = { entry->rel,
					object_meta(entry->object.object, "resourceVersion") };
		uint64_t hash = 0xcbf29ce484222325;

		for (size_t t = 0; t < 2; t++)
			for (const char *p = texts[t] ?: ""; *p; p++)
				hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
		sum += hash;
	}
	return index && !sum ? 1 : sum;
}

/* --- differences --- */

struct diff {
	struct dir *dir;
	struct store_change *changes;
	size_t count;
};

static void diff_add(struct diff *diff, const struct manifest_object *object,
		     enum store_event_type type, json_t *content, const json_t *before)
{
	diff->changes[diff->count++] = (struct store_change){
		.event = { .type = type, .kind = object->key.kind, .object = json_incref(content) },
		.was = json_incref((json_t *)object_labels(before)),
	};
}

static void diff_new(struct diff *diff, struct manifest_index *old,
		     const struct manifest_index *entry)
{
	const struct manifest_index *before = index_find(old, entry->rel);
	_cleanup_json_ json_t *hidden = NULL;

	if (before) {
		if (!json_equal(before->object.object, entry->object.object))
			diff_add(diff, &entry->object, STORE_MODIFIED, entry->object.object,
				 before->object.object);
		return;
	}
	(void)dir_read_served(diff->dir, entry->rel, &hidden);
	diff_add(diff, &entry->object, hidden ? STORE_MODIFIED : STORE_ADDED, entry->object.object,
		 hidden);
}

static void diff_old(struct diff *diff, struct manifest_index *new,
		     const struct manifest_index *entry)
{
	_cleanup_json_ json_t *hidden = NULL;

	if (index_find(new, entry->rel))
		return;
	(void)dir_read_served(diff->dir, entry->rel, &hidden);
	diff_add(diff, &entry->object, hidden ? STORE_MODIFIED : STORE_DELETED,
		 hidden ? hidden : entry->object.object, entry->object.object);
}

static void tell(struct diff *diff)
{
	struct store_watch *watch, *next;

	DL_FOREACH_SAFE(diff->dir->store.watches, watch, next) {
		char version[STORE_VERSION_MAX];

		if (watch->at == UINT64_MAX) /* will be told to list again */
			continue;
		dir_version_text(diff->dir, watch->at, version);
		watch_deliver(watch, diff->changes, diff->count, version);
	}
	for (size_t i = 0; i < diff->count; i++) {
		json_decref(diff->changes[i].event.object);
		json_decref((json_t *)diff->changes[i].was);
	}
	free(diff->changes);
}

static void replace_index(struct manifests *manifests, struct manifest_index *new)
{
	struct diff diff = { .dir = manifests->dir };
	struct manifest_index *old = manifests->index, *entry, *next;

	diff.changes = xcalloc(HASH_COUNT(old) + HASH_COUNT(new) + 1, sizeof(*diff.changes));
	HASH_ITER(hh, new, entry, next)
		diff_new(&diff, old, entry);
	HASH_ITER(hh, old, entry, next)
		diff_old(&diff, new, entry);
	manifests->index = new;
	manifests->hash = hash_of(new);
	tell(&diff);
	index_free(old);
}

static void merge_again(struct manifests *manifests)
{
	replace_index(manifests, merge(manifests));
	manifests_find_twice(manifests->dir);
	keep_files(manifests);
}

int manifests_refresh(struct dir *dir, struct err *err)
{
	struct manifests *manifests = dir->manifests;
	bool changed = false;
	int r;

	if (!manifests)
		return 0;
	r = read_folder(manifests, &changed, err);
	if (!r && changed)
		merge_again(manifests);
	return r;
}

void manifests_store_changed(struct dir *dir)
{
	if (dir->manifests && dir->manifests->twice_count)
		merge_again(dir->manifests);
}

/* --- life --- */

int manifests_open(struct dir *dir, const struct store_options *options, struct err *err)
{
	char host[256] = "localhost";
	struct manifests *manifests;

	if (!options->manifests)
		return 0;
	manifests = xcalloc(1, sizeof(*manifests));
	dir->manifests = manifests;
	manifests->dir = dir;
	manifests->path = xstrdup(options->manifests);
	manifests->keep = options->instance;
	(void)gethostname(host, sizeof(host) - 1);
	manifests->instance = dir_encode(options->instance ? options->instance : host);
	return manifests_refresh(dir, err);
}

void manifests_free(struct manifests *manifests)
{
	struct manifest_file *file, *next;

	if (!manifests)
		return;
	LL_FOREACH_SAFE(manifests->files, file, next)
		manifest_file_free(file);
	clear_twice(manifests);
	index_free(manifests->index);
	free(manifests->path);
	free(manifests->instance);
	free(manifests);
}
