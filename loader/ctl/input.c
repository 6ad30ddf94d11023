/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"

#define DEPTH_MAX 32 /* of folders */

struct input_file {
	char *name;
	struct docs *docs;
	struct input_file *next;
};

struct reading {
	struct input *input;
	const struct options *options;
	struct ctl *ctl;
	size_t files;
};

static int set_namespace(struct reading *reading, json_t *object, const struct store_kind *kind,
			 struct err *err)
{
	json_t *metadata = json_object_get(object, "metadata");
	const char *ns = json_text_at(object, "metadata.namespace");
	const char *wanted = reading->options->ns;

	if (!kind->namespaced) {
		json_object_del(metadata, "namespace");
		return 0;
	}
	if (wanted && ns && *ns && strcmp(ns, wanted))
		return err_set(err, -EINVAL,
			       "the namespace of the object \"%s\" does not match the namespace "
			       "\"%s\": you must pass --namespace=%s to perform this operation",
			       ns, wanted, ns);
	if (!ns || !*ns)
		json_object_set_new(metadata, "namespace",
				    json_string(options_ns(reading->options)));
	return 0;
}

static void add_object(struct reading *reading, const json_t *root, const struct check_place *place)
{
	_cleanup_json_ json_t *object = json_deep_copy(root);
	struct input *input = reading->input;
	struct store_key key;
	struct err err;
	int r = store_key_of(object, &key, &err);

	if (!r && input->count == INPUT_OBJECTS_MAX)
		r = err_set(&err, -E2BIG, "more than %d objects", INPUT_OBJECTS_MAX);
	if (!r)
		r = set_namespace(reading, object, key.kind, &err);
	if (!r)
		r = store_key_of(object, &key, &err);
	if (r < 0) {
		ctl_error(reading->ctl, "%s:%u: %s", place->file, place->line, err.text);
		return;
	}
	if (input->count % 64 == 0)
		input->objects =
			xrealloc(input->objects, input->count + 64, sizeof(*input->objects));
	input->objects[input->count++] =
		(struct input_object){ .object = TAKE_PTR(object), .key = key, .place = *place };
}

static void add_text(struct reading *reading, const char *name, const char *text, size_t size)
{
	struct input_file *file = xcalloc(1, sizeof(*file));
	struct err err;

	file->name = xstrdup(name);
	LL_PREPEND(reading->input->files, file);
	if (docs_read(text, size, &file->docs, &err) < 0) {
		ctl_error(reading->ctl, "%s: %s", name, err.text);
		return;
	}
	if (!file->docs->count && !reading->options->skip_empty)
		ctl_error(reading->ctl, "%s: no objects in it", name);
	reading->input->file_count += !!file->docs->count;
	docs_flatten_lists(file->docs);
	for (size_t i = 0; i < file->docs->count; i++) {
		const struct doc *doc = &file->docs->v[i];

		add_object(
			reading, doc->root,
			&(struct check_place){ .file = file->name, .doc = doc, .line = doc->line });
	}
}

static void read_one(struct reading *reading, const char *name)
{
	bool is_stdin = !strcmp(name, "-");
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	if (reading->files++ == INPUT_FILES_MAX) {
		ctl_error(reading->ctl, "more than %d files", INPUT_FILES_MAX);
		return;
	}
	if (reading->files > INPUT_FILES_MAX)
		return;
	r = file_read(AT_FDCWD, is_stdin ? "/dev/stdin" : name, DOC_BYTES_MAX, &text, &size);
	if (r == -EFBIG)
		ctl_error(reading->ctl, "%s: larger than %u bytes", name, DOC_BYTES_MAX);
	else if (r < 0)
		ctl_error(reading->ctl, "%s: %s", name, strerror(-r));
	else
		add_text(reading, is_stdin ? "standard input" : name, text, size);
}

static bool is_manifest(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void read_folder(struct reading *reading, const char *folder, int depth)
{
	struct dirent **names;
	int count = scandir(folder, &names, visible, alphasort);

	if (count < 0) {
		ctl_error(reading->ctl, "%s: %s", folder, strerror(errno));
		return;
	}
	for (int i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, names[i]->d_name);
		struct stat st;

		if (stat(path, &st) < 0)
			ctl_error(reading->ctl, "%s: %s", path, strerror(errno));
		else if (S_ISDIR(st.st_mode) && reading->options->recursive && depth < DEPTH_MAX)
			read_folder(reading, path, depth + 1);
		else if (S_ISREG(st.st_mode) && is_manifest(names[i]->d_name))
			read_one(reading, path);
		free(names[i]);
	}
	free(names);
}

void input_read(struct input *input, const struct options *options)
{
	struct reading reading = { .input = input, .options = options, .ctl = options->ctl };

	for (size_t i = 0; i < options->file_count; i++) {
		const char *name = options->files[i];
		size_t before = reading.files;
		struct stat st;

		if (strstr(name, "://"))
			ctl_error(options->ctl, "%s: only files are read, no URLs", name);
		else if (strcmp(name, "-") && stat(name, &st) < 0)
			ctl_error(options->ctl, "%s: %s", name, strerror(errno));
		else if (strcmp(name, "-") && S_ISDIR(st.st_mode))
			read_folder(&reading, name, 0);
		else
			read_one(&reading, name);
		if (reading.files == before && !options->ctl->failed && !options->skip_empty)
			ctl_error(options->ctl, "%s: no .yaml, .yml or .json file in it", name);
	}
}

void input_done(struct input *input)
{
	struct input_file *file, *next;

	for (size_t i = 0; i < input->count; i++)
		json_decref(input->objects[i].object);
	free(input->objects);
	LL_FOREACH_SAFE(input->files, file, next) {
		docs_free(file->docs);
		free(file->name);
		free(file);
	}
}

int input_patch(const struct options *options, json_t **ret_patch, struct err *err)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = 0;

	if (!options->patch == !options->patch_file)
		return err_set(err, -EINVAL, "expected --patch or --patch-file");
	if (options->patch_file)
		r = file_read(AT_FDCWD, options->patch_file, DOC_BYTES_MAX, &text, &size);
	if (r < 0)
		return err_errno(err, r, "%s", options->patch_file);
	if (!text)
		text = xstrdup(options->patch);
	r = docs_read(text, strlen(text), &docs, err);
	if (r < 0)
		return err_wrap(err, r, "patch");
	if (docs->count != 1)
		return err_set(err, -EINVAL, "patch: expected one document, not %zu", docs->count);
	*ret_patch = json_incref(docs->v[0].root);
	return 0;
}
