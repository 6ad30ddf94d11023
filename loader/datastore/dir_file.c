/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"
#include "datastore/dir.h"

int dir_read_json(struct dir *dir, const char *path, size_t limit, json_t **ret, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	json_error_t error;
	size_t size;
	json_t *tree;
	int r = file_read(dir->root, path, limit, &text, &size);

	if (r < 0)
		return err_errno(err, r, "%s/%s", dir->path, path);
	tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!tree)
		return err_set(err, -EBADMSG, "line %d: %s", error.line, error.text);
	if (!json_is_object(tree)) {
		json_decref(tree);
		return err_set(err, -EBADMSG, "expected one object");
	}
	*ret = tree;
	return 0;
}

int dir_read_served(struct dir *dir, const char *rel, json_t **ret_object)
{
	_cleanup_free_ char *path = xasprintf("served/%s", rel), *belongs = NULL;
	_cleanup_json_ json_t *object = NULL;
	struct store_key key;
	int r = dir_read_json(dir, path, DIR_FILE_MAX, &object, NULL);

	if (r < 0)
		return r;
	/* JSON, and yet not what the store wrote there. */
	if (store_key_of(object, &key, NULL) < 0 || !object_meta(object, "resourceVersion") ||
	    object_check_shape(object, NULL) < 0)
		return -EBADMSG;
	belongs = dir_rel(&key);
	if (strcmp(belongs, rel))
		return -EBADMSG;
	*ret_object = TAKE_PTR(object);
	return 0;
}

bool dir_same_time(struct dir *dir, const char *rel)
{
	_cleanup_free_ char *object = xasprintf("objects/%s", rel);
	_cleanup_free_ char *served = xasprintf("served/%s", rel);
	struct stat a, b;
	bool has_a = !fstatat(dir->root, object, &a, 0), has_b = !fstatat(dir->root, served, &b, 0);

	if (!has_a || !has_b)
		return has_a == has_b;
	return a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

int dir_make_parents(struct dir *dir, const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdirat(dir->root, copy, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

int dir_write_tmp(struct dir *dir, const char *path, const json_t *tree,
		  const struct timespec *mtime, bool sync)
{
	_cleanup_free_ char *text =
		json_dumps(tree, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_ENCODE_ANY);
	_cleanup_close_ int fd = openat(
		dir->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	if (!text)
		return -EINVAL;
	r = write_all(fd, text, strlen(text));
	if (!r)
		r = write_all(fd, "\n", 1);
	if (!r && mtime && futimens(fd, (struct timespec[]){ *mtime, *mtime }) < 0)
		r = -errno;
	if (!r && sync && fsync(fd) < 0)
		r = -errno;
	return r;
}

int dir_write_copy(struct dir *dir, const char *path, const json_t *tree)
{
	int r = dir_lock(dir, LOCK_EX, NULL);

	if (r < 0)
		return r;
	if (!tree)
		r = unlinkat(dir->root, path, 0) < 0 && errno != ENOENT ? -errno : 0;
	else
		r = dir_make_parents(dir, path);
	if (!r && tree)
		r = dir_write_tmp(dir, "tmp/manifest", tree, NULL, true);
	if (!r && tree && renameat(dir->root, "tmp/manifest", dir->root, path) < 0)
		r = -errno;
	dir_unlock(dir);
	return r;
}

/* Names in a folder, without hidden ones. */
static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void dir_clean_tmp(struct dir *dir)
{
	struct dirent **names;
	int count = scandirat(dir->root, "tmp", &names, visible, NULL);

	for (int i = 0; i < count; i++) {
		_cleanup_free_ char *path = xasprintf("tmp/%s", names[i]->d_name);

		unlinkat(dir->root, path, 0);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
}

static bool is_json(const char *name)
{
	size_t size = strlen(name);

	return size > 5 && !strcmp(name + size - 5, ".json");
}

/* Below TOP lie three levels of folders (group, kind, namespace), then files. */
static void walk_folder(struct dir *dir, const struct dir_walk *walk, const char *path, int level)
{
	struct dirent **names;
	int count = scandirat(dir->root, path, &names, visible, alphasort);

	if (count < 0)
		return;
	if (walk->folder)
		walk->folder(walk->arg, path);
	for (int i = 0; i < count; i++) {
		_cleanup_free_ char *below = xasprintf("%s/%s", path, names[i]->d_name);

		if (level < 3)
			walk_folder(dir, walk, below, level + 1);
		else if (is_json(names[i]->d_name))
			walk->fn(walk->arg, below + strlen(walk->top) + 1);
		free(names[i]);
	}
	free(names);
}

void dir_walk(struct dir *dir, const struct dir_walk *walk)
{
	_cleanup_free_ char *path = NULL, *ns = NULL;

	if (!walk->kind) {
		walk_folder(dir, walk, walk->top, 0);
		return;
	}
	if (walk->ns)
		ns = *walk->ns ? dir_encode(walk->ns) : xstrdup("_");
	path = xasprintf("%s/%s/%s%s%s", walk->top, *walk->kind->group ? walk->kind->group : "core",
			 walk->kind->kind, ns ? "/" : "", ns ? ns : "");
	walk_folder(dir, walk, path, ns ? 3 : 2);
}
