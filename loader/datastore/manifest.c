/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/file.h"

#define FILES_MAX 10000
#define LOAD_A_TURN (2 << 20)	  /* bytes read before the rest waits for the next turn */
#define KEPT_AT_FIRST (256 << 10) /* bytes of a first reading whose trees wait for its end */

/* --- objects in force, by key --- */

struct store_key manifest_key(const struct manifest_object *object)
{
	return (struct store_key){ .kind = store_kind(object->kind),
				   .ns = object->text,
				   .name = object->text + strlen(object->text) + 1 };
}

static uint32_t word_hash(const void *context, uintptr_t word)
{
	struct store_key key = manifest_key((const struct manifest_object *)word);

	(void)context;
	return key_hash(&key);
}

static struct manifest_object *index_find(const struct index *index, const struct store_key *key)
{
	index_for_each_of(index, key_hash(key), word)
	{
		struct manifest_object *object = (struct manifest_object *)word;
		struct store_key have = manifest_key(object);

		if (have.kind->id == key->kind->id && !strcmp(have.name, key->name) &&
		    !strcmp(have.ns, key->ns))
			return object;
	}
	return NULL;
}

struct manifest_object *manifest_same(const struct index *index,
				      const struct manifest_object *object)
{
	struct store_key key = manifest_key(object);

	return index_find(index, &key);
}

struct manifest_object *manifests_find(struct dir *dir, const struct store_key *key)
{
	return dir->manifests ? index_find(&dir->manifests->index, key) : NULL;
}

uint64_t manifests_hash(const struct dir *dir)
{
	return dir->manifests ? dir->manifests->hash : 0;
}

bool manifests_are_due(const struct dir *dir)
{
	return dir->manifests && dir->manifests->more;
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

/* What it had before was told to who wanted to know. */
static void settle_file(struct manifests *manifests, struct manifest_file *file)
{
	manifest_list_free(manifests, &file->old);
	json_decref(TAKE_PTR(file->former));
	manifest_let_go(manifests, file);
	file->loaded = false;
}

/* A first reading: nobody is to be told, so trees may go at once. What would be written is needed
 * until everything was merged; of much of it the copy is written now, and looked at again then. */
static void let_go(struct manifests *manifests, struct manifest_file *file)
{
	if (file->dirty && manifests->loaded < KEPT_AT_FIRST)
		return;
	if (file->dirty)
		manifest_file_keep(manifests, file);
	settle_file(manifests, file);
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
	/* Trees of many files at once would be most of the memory that is ever used. */
	if (manifests->dir->store.watches && manifests->loaded >= LOAD_A_TURN) {
		manifests->more = true;
		if (file)
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
	manifests->loaded += st.st_size;
	if (!manifests->dir->store.watches)
		let_go(manifests, file);
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
		LL_PREPEND(manifests->gone, file);
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

/* One object in two places: the one that was in force stays, whoever comes later is named. */
static void merge_object(struct manifests *manifests, struct index *index,
			 struct manifest_object *object)
{
	if (!object->held && !object->file->loaded)
		manifests_look_stored(manifests->dir, object);
	object->held = !manifest_same(index, object) && (object->held || !object->stored);
	if (object->held)
		index_add(index, (uintptr_t)object);
}

static struct index merge(struct manifests *manifests)
{
	struct index index = { .hash = word_hash };
	struct manifest_file *file;

	LL_SORT(manifests->files, by_name);
	for (int held = 1; held >= 0; held--)
		LL_FOREACH(manifests->files, file)
			for (size_t i = 0; i < file->objects.count; i++)
				if (file->objects.v[i]->held == held) {
					merge_object(manifests, &index, file->objects.v[i]);
					file->dirty |= file->objects.v[i]->held != held;
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

void manifests_look_stored(struct dir *dir, struct manifest_object *object)
{
	struct store_key key = manifest_key(object);
	_cleanup_free_ char *rel = dir_rel(&key);
	_cleanup_free_ char *served = xasprintf("served/%s", rel);

	object->stored = !faccessat(dir->root, served, F_OK, 0);
}

/* Of all keys and versions, in any order. 0: there are none. */
static uint64_t hash_of(const struct index *index)
{
	uint64_t sum = 0;

	index_for_each(index, word)
	{
		const struct manifest_object *object = (const struct manifest_object *)word;

		sum += (object->version ^ word_hash(NULL, word)) * 0x9e3779b97f4a7c15ULL;
	}
	return index->count && !sum ? 1 : sum;
}

/* --- differences --- */

struct diff {
	struct dir *dir;
	struct store_change *changes;
	size_t count, room;
};

/* Takes over both references. */
static void diff_add(struct diff *diff, const struct manifest_object *object,
		     enum store_event_type type, json_t *content, json_t *before)
{
	if (!content) {
		json_decref(before);
		return;
	}
	if (diff->count == diff->room) {
		diff->room = diff->room ? diff->room * 2 : 64;
		diff->changes = xrealloc(diff->changes, diff->room, sizeof(*diff->changes));
	}
	diff->changes[diff->count++] = (struct store_change){
		.event = { .type = type, .kind = store_kind(object->kind), .object = content },
		.was = json_incref((json_t *)object_labels(before)),
	};
	json_decref(before);
}

/* What a manifest hides, or hid. */
static json_t *hidden_by(const struct diff *diff, const struct manifest_object *object)
{
	struct store_key key = manifest_key(object);
	_cleanup_free_ char *rel = dir_rel(&key);
	json_t *hidden = NULL;

	(void)dir_read_served(diff->dir, rel, &hidden);
	return hidden;
}

static void diff_new(struct diff *diff, const struct index *old,
		     const struct manifest_object *object)
{
	const struct manifest_object *before = manifest_same(old, object);
	json_t *hidden = NULL;

	if (before && before->version == object->version)
		return;
	if (!before)
		hidden = hidden_by(diff, object);
	diff_add(diff, object, before || hidden ? STORE_MODIFIED : STORE_ADDED,
		 manifests_content(diff->dir, object), before ? manifest_last(before) : hidden);
}

static void diff_old(struct diff *diff, const struct index *old,
		     const struct manifest_object *object)
{
	json_t *hidden;

	if (manifest_same(old, object) != object ||
	    manifest_same(&diff->dir->manifests->index, object))
		return;
	hidden = hidden_by(diff, object);
	diff_add(diff, object, hidden ? STORE_MODIFIED : STORE_DELETED,
		 hidden ? hidden : manifest_last(object), hidden ? manifest_last(object) : NULL);
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

static void settle(struct manifests *manifests)
{
	struct manifest_file *file, *next;

	LL_FOREACH(manifests->files, file) {
		if (file->loaded)
			settle_file(manifests, file);
	}
	LL_FOREACH_SAFE(manifests->gone, file, next)
		manifest_file_free(manifests, file);
	manifests->gone = NULL;
}

/* Only what was loaded now or is gone can have lost an object; any file can have got one that
 * another one hid. */
static void diff_files(struct manifests *manifests, const struct index *old, struct diff *diff)
{
	struct manifest_file *file;

	index_for_each(&manifests->index, word)
		diff_new(diff, old, (const struct manifest_object *)word);
	LL_FOREACH(manifests->files, file)
		for (size_t i = 0; file->loaded && i < file->old.count; i++)
			diff_old(diff, old, file->old.v[i]);
	LL_FOREACH(manifests->gone, file)
		for (size_t i = 0; i < file->old.count; i++)
			diff_old(diff, old, file->old.v[i]);
}

static void replace_index(struct manifests *manifests)
{
	struct diff diff = { .dir = manifests->dir };
	struct index old = manifests->index;

	manifests->index = merge(manifests);
	manifests->hash = hash_of(&manifests->index);
	/* Nobody to tell: the first reading, or a store that is not watched. */
	if (manifests->dir->store.watches)
		diff_files(manifests, &old, &diff);
	tell(&diff);
	index_done(&old);
}

static void merge_again(struct manifests *manifests)
{
	replace_index(manifests);
	manifests_find_twice(manifests->dir);
	keep_files(manifests);
	settle(manifests);
}

int manifests_refresh(struct dir *dir, struct err *err)
{
	struct manifests *manifests = dir->manifests;
	bool changed = false;
	int r;

	if (!manifests)
		return 0;
	manifests->more = false;
	manifests->loaded = 0;
	r = read_folder(manifests, &changed, err);
	if (manifests->more)
		store_wake(&dir->store);
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
	manifests->index.hash = word_hash;
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
		manifest_file_free(manifests, file);
	manifests_clear_twice(manifests);
	index_done(&manifests->index);
	slab_done(&manifests->slab);
	free(manifests->path);
	free(manifests->instance);
	free(manifests);
}
