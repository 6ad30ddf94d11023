/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/sha.h"
#include "base/yaml.h"
#include "datastore/manifest.h"

#define COPY_BEHIND_MAX (256 << 10)
#define COPY_MAX (4 * DOC_BYTES_MAX)

/* Objects while a file is read. */
struct load {
	struct manifests *manifests;
	struct manifest_file *file;
	struct manifest_list objects;
	json_t *copy;	/* as of before */
	json_t *former; /* last valid objects, of the copy */
	json_t *born;	/* path of each of them -> its creationTimestamp */
	bool quiet;	/* read before: its problems are known */
	bool unknown;	/* a document's key cannot be told */
	char **refused; /* keys of bad documents */
	size_t refused_count;
};

static void problem(struct load *load, unsigned int line, const char *object, const char *text)
{
	_cleanup_free_ char *where =
		line ? xasprintf("%s:%u", load->file->path, line) : xstrdup(load->file->path);

	if (load->quiet)
		return;
	problem_set(&load->manifests->dir->store,
		    &(struct store_problem){ .file = where,
					     .object = (char *)object,
					     .text = (char *)text,
					     .served = json_array_size(load->former) });
}

/* uid and version are functions of what is in the file, so that a restart finds the same. The time
 * is the file's when the object came into it: an edit does not make it younger. */
static void stamp(json_t *object, const char *rel, const struct load *load)
{
	const char *born = json_string_value(json_object_get(load->born, rel));
	_cleanup_free_ char *text = NULL;
	unsigned char d[SHA256_SIZE];
	char out[40];
	struct tm tm;

	sha256(rel, strlen(rel), d);
	d[6] = (d[6] & 0x0f) | 0x80; /* RFC 9562, version 8 */
	d[8] = (d[8] & 0x3f) | 0x80;
	snprintf(out, sizeof(out),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0], d[1],
		 d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14],
		 d[15]);
	object_name_write(object, "uid", out);
	gmtime_r(&load->file->seen.st_mtim.tv_sec, &tm);
	json_object_del(json_object_get(object, "metadata"), "resourceVersion");
	json_object_del(json_object_get(object, "metadata"), "creationTimestamp");
	text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	sha256(text ?: "", text ? strlen(text) : 0, d);
	snprintf(out, sizeof(out), "m%02x%02x%02x%02x%02x%02x%02x%02x", d[0], d[1], d[2], d[3],
		 d[4], d[5], d[6], d[7]);
	object_name_write(object, "resourceVersion", out);
	strftime(out, sizeof(out), "%Y-%m-%dT%H:%M:%SZ", &tm);
	object_name_write(object, "creationTimestamp", born ?: out);
}

static struct manifest_object *entry_new(struct manifests *manifests, const struct store_key *key)
{
	size_t ns = strlen(key->ns) + 1, name = strlen(key->name) + 1;
	struct manifest_object *object = slab_alloc(&manifests->slab, sizeof(*object) + ns + name);

	object->kind = (uint8_t)key->kind->id;
	memcpy(object->text, key->ns, ns);
	memcpy(object->text + ns, key->name, name);
	return object;
}

static void entry_free(struct manifests *manifests, struct manifest_object *object)
{
	struct store_key key = manifest_key(object);

	json_decref(object->object);
	slab_free(&manifests->slab, object,
		  sizeof(*object) + strlen(key.ns) + strlen(key.name) + 2);
}

void manifest_list_free(struct manifests *manifests, struct manifest_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		entry_free(manifests, list->v[i]);
	free(list->v);
	*list = (struct manifest_list){ 0 };
}

void manifest_file_free(struct manifests *manifests, struct manifest_file *file)
{
	manifest_list_free(manifests, &file->objects);
	manifest_list_free(manifests, &file->old);
	json_decref(file->former);
	free(file->name);
	free(file->path);
	free(file);
}

static void add(struct load *load, json_t *object, unsigned int line)
{
	const char *version = object_meta(object, "resourceVersion");
	struct manifest_list *list = &load->objects;
	struct manifest_object *entry;
	struct store_key key;

	if (store_key_of(object, &key, NULL) < 0 || !version) {
		json_decref(object);
		return;
	}
	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 8;
		list->v = xrealloc(list->v, list->room, sizeof(*list->v));
	}
	entry = entry_new(load->manifests, &key);
	entry->file = load->file;
	entry->object = object;
	entry->version = manifest_version(version);
	entry->line = line;
	entry->place = (uint32_t)list->count;
	if (!load->quiet)
		manifests_look_stored(load->manifests->dir, entry);
	list->v[list->count++] = entry;
}

/* Takes the document over. */
static void add_document(struct load *load, json_t *root, unsigned int line)
{
	_cleanup_json_ json_t *object = root;
	_cleanup_free_ char *text = NULL, *rel = NULL;
	struct store_key key;
	struct err err;
	int r = store_key_of(object, &key, &err);

	if (r < 0) {
		load->unknown = true;
		problem(load, line, NULL, err.text);
		return;
	}
	text = key_text(&key);
	rel = dir_rel(&key);
	r = object_check_shape(object, &err);
	if (!r && key.kind->namespaced && !object_meta(object, "namespace"))
		object_name_write(object, "namespace", "default");
	if (!r && !key.kind->namespaced)
		json_object_del(json_object_get(object, "metadata"), "namespace");
	if (!r && load->manifests->dir->check)
		r = load->manifests->dir->check(object, &err);
	if (!r) {
		stamp(object, rel, load);
		add(load, TAKE_PTR(object), line);
		return;
	}
	problem(load, line, text, err.text);
	load->refused = xrealloc(load->refused, load->refused_count + 1, sizeof(*load->refused));
	load->refused[load->refused_count++] = TAKE_PTR(rel);
}

/* --- last valid copies --- */

static char *copy_path(const struct manifests *manifests, const struct manifest_file *file)
{
	_cleanup_free_ char *name = dir_encode(file->name);

	return xasprintf("manifests/%s/%s.json", manifests->instance, name);
}

static json_t *read_copy(struct manifests *manifests, const struct manifest_file *file)
{
	_cleanup_free_ char *path = copy_path(manifests, file);
	json_t *copy = NULL;

	if (dir_copy_waits(manifests->dir, path, &copy) ||
	    !dir_read_json(manifests->dir, path, COPY_MAX, &copy, NULL))
		return copy;
	return NULL;
}

/* Its objects alone. */
static json_t *read_objects(struct manifests *manifests, const struct manifest_file *file)
{
	_cleanup_json_ json_t *copy = read_copy(manifests, file);

	return json_incref(json_object_get(copy, "objects"));
}

/* behind: paths of objects that stand elsewhere too and are in force there. */
static json_t *make_copy(struct manifests *manifests, struct manifest_file *file)
{
	json_t *objects = NULL, *behind = json_array();
	bool here = file->loaded || !manifests->keep;

	objects = here ? json_array() : manifest_file_contents(manifests, file);
	for (size_t i = 0; i < file->objects.count; i++) {
		struct store_key key = manifest_key(file->objects.v[i]);
		_cleanup_free_ char *rel = dir_rel(&key);

		if (here)
			json_array_append(objects, file->objects.v[i]->object);
		if (!file->objects.v[i]->held)
			json_array_append_new(behind, json_string(rel));
	}
	return json_pack("{s:s,s:o,s:o}", "file", file->path, "objects", objects, "behind", behind);
}

/* Behind those who wait for the file's content, where there are any (a watch). */
static void store_copy(struct manifests *manifests, const struct manifest_file *file, json_t *copy)
{
	_cleanup_free_ char *path = copy_path(manifests, file);
	struct dir *dir = manifests->dir;

	/* The thread would have a second tree of a large file. */
	if (!dir->watches || file->seen.st_size > COPY_BEHIND_MAX ||
	    dir_copy_async(dir, path, copy) < 0)
		(void)dir_write_copy(dir, path, copy);
}

/* Without its copy a file would be served worse after a restart, not wrong now: no failure. */
void manifest_file_keep(struct manifests *manifests, struct manifest_file *file)
{
	_cleanup_json_ json_t *copy = NULL, *former = NULL;

	if (!manifests->keep)
		return;
	copy = make_copy(manifests, file);
	former = read_copy(manifests, file);
	if (!former || !json_equal(former, copy))
		store_copy(manifests, file, copy);
}

static json_t *births(const json_t *former)
{
	json_t *born = json_object(), *object;
	struct store_key key;
	size_t i;

	json_array_foreach(former, i, object) {
		_cleanup_free_ char *rel = store_key_of(object, &key, NULL) ? NULL : dir_rel(&key);
		const char *time = object_meta(object, "creationTimestamp");

		if (rel && time)
			json_object_set_new(born, rel, json_string(time));
	}
	return born;
}

/* Paths of what the file held before: as this reader knows, or else as its copy says. */
static json_t *held_before(const struct load *load)
{
	const struct manifest_list *list = &load->file->objects;
	json_t *held = json_object(), *item;
	struct store_key key;
	size_t i;

	for (i = 0; i < list->count; i++) {
		_cleanup_free_ char *rel = NULL;

		key = manifest_key(list->v[i]);
		rel = dir_rel(&key);
		if (list->v[i]->held)
			json_object_set_new(held, rel, json_true());
	}
	if (list->count)
		return held;
	json_array_foreach(load->former, i, item) {
		_cleanup_free_ char *rel = store_key_of(item, &key, NULL) ? NULL : dir_rel(&key);

		if (rel)
			json_object_set_new(held, rel, json_true());
	}
	json_array_foreach(json_object_get(load->copy, "behind"), i, item)
		json_object_del(held, json_string_value(item) ?: "");
	return held;
}

/* What stands elsewhere too: whoever was in force stays, also over a restart. */
static void find_held(struct load *load)
{
	_cleanup_json_ json_t *held = held_before(load);

	for (size_t i = 0; i < load->objects.count; i++) {
		struct store_key key = manifest_key(load->objects.v[i]);
		_cleanup_free_ char *rel = dir_rel(&key);

		load->objects.v[i]->held = json_object_get(held, rel);
	}
}

/* Whether the copy says the same of the objects already. */
static bool is_kept(const struct load *load)
{
	if (json_array_size(load->former) != load->objects.count)
		return false;
	for (size_t i = 0; i < load->objects.count; i++)
		if (!json_equal(json_array_get(load->former, i), load->objects.v[i]->object) ||
		    !load->objects.v[i]->held)
			return false;
	return json_array_size(json_object_get(load->copy, "behind")) == 0;
}

static bool wants_former(const struct load *load, const char *rel)
{
	for (size_t i = 0; i < load->objects.count; i++) {
		struct store_key key = manifest_key(load->objects.v[i]);
		_cleanup_free_ char *have = dir_rel(&key);

		if (!strcmp(have, rel))
			return false;
	}
	for (size_t i = 0; i < load->refused_count; i++)
		if (!strcmp(load->refused[i], rel))
			return true;
	return load->unknown;
}

/* What a bad document was when it was good; of a document that cannot be told at all, everything
 * that is not in the file any more. */
static void add_former(struct load *load)
{
	json_t *object;
	size_t i;

	if (!load->unknown && !load->refused_count)
		return;
	json_array_foreach(load->former, i, object) {
		_cleanup_free_ char *rel = NULL;
		struct store_key key;

		if (store_key_of(object, &key, NULL) < 0)
			continue;
		rel = dir_rel(&key);
		if (wants_former(load, rel))
			add(load, json_incref(object), 0);
	}
}

/* --- reading --- */

static int check_owner(const struct stat *st, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, -EPERM, "belongs to uid %u, must belong to root (chown root)",
			       st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM, "mode %04o lets others write, must not (chmod go-w)",
			       st->st_mode & 07777);
	return 0;
}

static void load_text(struct load *load)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;
	unsigned int line = 0;
	struct err err;
	size_t size;
	int r = check_owner(&load->file->seen, &err);

	if (!r) {
		r = file_read(AT_FDCWD, load->file->path, DOC_BYTES_MAX, &text, &size);
		if (r < 0)
			err_errno(&err, r, "cannot be read");
	}
	if (!r) {
		r = docs_read(text, size, &docs, &err);
		if (r < 0 && sscanf(err.text, "line %u", &line) != 1)
			line = 0;
	}
	if (r < 0) {
		load->unknown = true;
		problem(load, line, NULL, err.text);
		return;
	}
	docs_flatten_lists(docs);
	for (size_t i = 0; i < docs->count; i++)
		add_document(load, TAKE_PTR(docs->v[i].root), docs->v[i].line);
}

static void clear_problems(struct manifests *manifests, const struct manifest_file *file)
{
	_cleanup_free_ char *prefix = xasprintf("%s:", file->path);

	problem_clear(&manifests->dir->store, file->path);
	problem_clear_prefix(&manifests->dir->store, prefix);
}

static void run(struct load *load)
{
	load->copy = read_copy(load->manifests, load->file);
	load->former = json_object_get(load->copy, "objects");
	load->born = births(load->former);
	load_text(load);
	add_former(load);
	json_decref(load->born);
	for (size_t i = 0; i < load->refused_count; i++)
		free(load->refused[i]);
	free(load->refused);
}

void manifest_file_load(struct manifests *manifests, struct manifest_file *file)
{
	struct load load = { .manifests = manifests, .file = file };

	clear_problems(manifests, file);
	run(&load);
	find_held(&load);
	file->dirty = !is_kept(&load);
	file->old = file->objects;
	file->objects = load.objects;
	file->former = json_incref(load.former);
	json_decref(load.copy);
	file->loaded = true;
}

void manifest_file_forget(struct manifests *manifests, struct manifest_file *file)
{
	clear_problems(manifests, file);
	file->former = read_objects(manifests, file);
	file->old = file->objects;
	file->objects = (struct manifest_list){ 0 };
	if (manifests->keep)
		store_copy(manifests, file, NULL);
}

/* --- contents again --- */

static bool has_all(const json_t *contents, const struct manifest_list *list)
{
	if (json_array_size(contents) != list->count)
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (!manifest_is(json_array_get(contents, i), list->v[i]))
			return false;
	return true;
}

json_t *manifest_file_contents(struct manifests *manifests, struct manifest_file *file)
{
	struct load load = { .manifests = manifests, .file = file, .quiet = true };
	json_t *contents = read_objects(manifests, file);

	if (contents && has_all(contents, &file->objects))
		return contents;
	/* The copy could not be written, or was lost. */
	json_decref(contents);
	run(&load);
	contents = json_array();
	for (size_t i = 0; i < load.objects.count; i++)
		json_array_append(contents, load.objects.v[i]->object);
	manifest_list_free(manifests, &load.objects);
	json_decref(load.copy);
	return contents;
}
