/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/file.h"

#define HISTORY_DEFAULT 1024
#define SCAN_DEFAULT 10

static int make_folders(struct dir *dir)
{
	static const char *const names[] = { "log", "served", "objects", "tmp", "manifests" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(dir->root, names[i], 0700) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
	return 0;
}

static int check_folder(struct dir *dir, bool create, struct err *err)
{
	_cleanup_free_ char *lock = xasprintf("%s/lock", dir->path);
	int r = 0;

	if (create)
		r = dir_make(dir->path, 0700, err);
	else if (access(lock, F_OK) < 0)
		return err_set(err, errno == ENOTDIR ? -ENOTDIR : -errno,
			       "datastore %s: %s (it is made by margay-agent and margayctl apply)",
			       dir->path, errno == ENOENT ? "no store there" : strerror(errno));
	if (!r)
		r = dir_check_private(dir->path, err);
	return r;
}

int dir_reopen(struct dir *dir, bool create, struct err *err)
{
	int root = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (root < 0)
		return err_errno(err, -errno, "datastore %s", dir->path);
	if (!create && faccessat(root, "lock", F_OK, 0) < 0) {
		close(root);
		return err_set(err, -EIO, "datastore %s: no store is there now, is it mounted?",
			       dir->path);
	}
	close_p(&dir->root);
	close_p(&dir->lock);
	dir->root = root;
	dir->lock = -1;
	r = make_folders(dir);
	if (r < 0)
		return err_errno(err, r, "datastore %s", dir->path);
	r = dir_lock(dir, LOCK_EX, err);
	/* Who may only read serves what is there. */
	if (r == -EROFS || r == -EACCES)
		return 0;
	if (!r)
		dir_unlock(dir);
	return r;
}

static void dir_close(struct store *store)
{
	struct dir *dir = to_dir(store);

	dir_watches_free(dir->watches);
	manifests_free(dir->manifests);
	store_done(store);
	close_p(&dir->root);
	close_p(&dir->lock);
	free(dir->path);
	free(dir);
}

static void dir_settle(struct store *store)
{
	dir_worker_free(to_dir(store));
}

static int init(struct dir *dir, const struct store_options *options, struct err *err)
{
	int r = store_init(&dir->store, &dir_ops, err);

	if (!r)
		r = check_folder(dir, options->create, err);
	if (!r)
		r = dir_reopen(dir, options->create, err);
	if (!r)
		r = manifests_open(dir, options, err);
	return r;
}

static int dir_open(const char *address, const struct store_options *options,
		    struct store **ret_store, struct err *err)
{
	struct dir *dir;
	int r;

	if (*address != '/')
		return err_set(err, -EINVAL, "datastore dir:%s: expected an absolute path",
			       address);
	dir = xcalloc(1, sizeof(*dir));
	dir->path = xstrdup(address);
	for (size_t n = strlen(dir->path); n > 1 && dir->path[n - 1] == '/';)
		dir->path[--n] = 0;
	dir->root = dir->lock = -1;
	dir->check = options->check;
	dir->history = options->history ? options->history : HISTORY_DEFAULT;
	dir->scan_ms = (int)(options->scan ? options->scan : SCAN_DEFAULT) * 1000;
	r = init(dir, options, err);
	if (r < 0) {
		dir_close(&dir->store);
		return r;
	}
	*ret_store = &dir->store;
	return 0;
}

static int dir_origin(struct store *store, const struct store_key *key, char **ret_file)
{
	const struct manifest_object *object = manifests_find(to_dir(store), key);

	if (!object)
		return -ENOENT;
	*ret_file = manifests_origin(object);
	return 0;
}

const struct store_ops dir_ops = {
	.scheme = "dir",
	.atomic = true,
	.open = dir_open,
	.close = dir_close,
	.get = dir_get,
	.read = dir_read,
	.commit = dir_commit,
	.commit_async = dir_commit_async,
	.settle = dir_settle,
	.origin = dir_origin,
	.watch = dir_watch,
	.timeout_ms = dir_timeout_ms,
	.dispatch = dir_dispatch,
};
