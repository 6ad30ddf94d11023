/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/attachment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "cni/record.h"

#define RECORD_MAX (512 * 1024) /* a record holds the configuration, at most CNI_CONFIG_MAX */

void attachment_done(struct attachment *attachment)
{
	json_decref(attachment->dns);
	json_decref(attachment->labels);
	json_decref(attachment->ports);
	arena_free(attachment->arena);
	memset(attachment, 0, sizeof(*attachment));
}

int state_prepare(const char *state_dir, struct err *err)
{
	static const char *const folders[] = { "", "/attachments", "/released" };
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(folders) / sizeof(folders[0]); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", state_dir, folders[i]);

		r = dir_make(path, 0700, err);
		if (!r)
			r = dir_check_private(path, err);
	}
	return r;
}

static char *record_path(const char *state_dir, const char *folder, const char *container,
			 const char *ifname)
{
	return xasprintf("%s/%s/%s:%s.json", state_dir, folder, container, ifname);
}

typedef int (*replace_fn)(int dirfd, const char *path, const void *data, size_t size, mode_t mode);

static int store_json(const char *path, const json_t *tree, replace_fn replace, struct err *err)
{
	_cleanup_free_ char *text = json_dumps(tree, JSON_INDENT(1) | JSON_SORT_KEYS);
	int r;

	if (!text)
		return err_set(err, -EINVAL, "%s: cannot be written as JSON", path);
	r = replace(AT_FDCWD, path, text, strlen(text), 0600);
	return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

static int load_json(const char *path, json_t **ret_tree, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	json_error_t error;
	json_t *tree;
	size_t size;
	int r;

	r = file_read(AT_FDCWD, path, RECORD_MAX, &text, &size);
	if (r < 0)
		return err_errno(err, r, "%s", path);
	tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!tree)
		return err_set(err, -EBADMSG, "%s:%d: %s", path, error.line, error.text);
	*ret_tree = tree;
	return 0;
}

static int remove_file(const char *path, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, -errno, "%s", path);
	return 0;
}

int attachment_store(const char *state_dir, const struct attachment *attachment, struct err *err)
{
	_cleanup_free_ char *path =
		record_path(state_dir, "attachments", attachment->container, attachment->ifname);
	json_t *tree = record_encode(attachment);
	/* What it tells of has gone after a power failure, and the kernel keeps it over our death.
	 */
	int r = store_json(path, tree, file_replace_soon, err);

	json_decref(tree);
	return r;
}

int attachment_load(const char *state_dir, const char *container, const char *ifname,
		    struct attachment *ret_attachment, struct err *err)
{
	_cleanup_free_ char *path = record_path(state_dir, "attachments", container, ifname);
	_cleanup_attachment_ struct attachment attachment = { 0 };
	json_t *tree = NULL;
	int r;

	r = load_json(path, &tree, err);
	if (r < 0)
		return r;
	r = record_decode(tree, &attachment);
	json_decref(tree);
	if (r < 0 || strcmp(attachment.container, container) || strcmp(attachment.ifname, ifname))
		return err_set(err, -EBADMSG, "%s: is no record of this attachment", path);
	*ret_attachment = attachment;
	memset(&attachment, 0, sizeof(attachment));
	return 0;
}

/* ".tmp-PID-CONTAINER:IFNAME.json" (base/file.h): whoever calls holds the attachment's lock, so
 * no living writer owns it. */
static void remove_temporary(const char *folder, const char *file)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strncmp(name, ".tmp-", 5))
			continue;
		name += 5 + strspn(name + 5, "0123456789");
		if (*name == '-' && !strcmp(name + 1, file))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

int attachment_remove(const char *state_dir, const char *container, const char *ifname,
		      struct err *err)
{
	_cleanup_free_ char *path = record_path(state_dir, "attachments", container, ifname);
	char *slash = strrchr(path, '/');
	int r;

	r = remove_file(path, err);
	*slash = 0;
	remove_temporary(path, slash + 1);
	return r;
}

static int visit(const char *state_dir, const char *file, attachment_fn function, void *data)
{
	_cleanup_attachment_ struct attachment attachment = { 0 };
	size_t size = strlen(file);
	_cleanup_free_ char *container = NULL;
	char *ifname;

	if (*file == '.' || size < 6 || strcmp(file + size - 5, ".json"))
		return 0;
	container = strndup(file, size - 5);
	ifname = container ? strchr(container, ':') : NULL;
	if (!ifname)
		return function(file, NULL, data);
	*ifname++ = 0;
	/* Gone meanwhile is no error: another process did its work. */
	switch (attachment_load(state_dir, container, ifname, &attachment, NULL)) {
	case 0:
		return function(file, &attachment, data);
	case -ENOENT:
		return 0;
	}
	return function(file, NULL, data);
}

int attachment_each(const char *state_dir, attachment_fn function, void *data, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/attachments", state_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_errno(err, -errno, "%s", path);
	while (!r && (entry = readdir(dir)))
		r = visit(state_dir, entry->d_name, function, data);
	closedir(dir);
	return r;
}

static void sweep_folder(const char *state_dir, const char *folder)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", state_dir, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		long pid = strncmp(entry->d_name, ".tmp-", 5) ? 0 : atol(entry->d_name + 5);

		if (pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

void state_sweep(const char *state_dir)
{
	sweep_folder(state_dir, "attachments");
	sweep_folder(state_dir, "released");
}

int release_store(const char *state_dir, const struct attachment *attachment, const json_t *request,
		  struct err *err)
{
	_cleanup_free_ char *path =
		record_path(state_dir, "released", attachment->container, attachment->ifname);

	return store_json(path, request, file_replace, err);
}

int release_load(const char *state_dir, const struct attachment *attachment, json_t **ret_request)
{
	_cleanup_free_ char *path =
		record_path(state_dir, "released", attachment->container, attachment->ifname);

	return load_json(path, ret_request, NULL);
}

int release_remove(const char *state_dir, const struct attachment *attachment)
{
	_cleanup_free_ char *path =
		record_path(state_dir, "released", attachment->container, attachment->ifname);
	char *slash = strrchr(path, '/');
	int r;

	r = remove_file(path, NULL);
	*slash = 0;
	remove_temporary(path, slash + 1);
	return r;
}
