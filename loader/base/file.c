/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"

static int read_all(int fd, char *text, size_t size, size_t *ret_used)
{
	size_t used = 0;

	while (used < size) {
		ssize_t n = read(fd, text + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		used += (size_t)n;
	}
	*ret_used = used;
	return 0;
}

int file_read(int dirfd, const char *path, size_t limit, char **ret_text, size_t *ret_size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	size_t room, used;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	/* Files of proc and sysfs say size 0 or 4096: room for the limit then. */
	room = S_ISREG(st.st_mode) && st.st_size > 4096 ? (size_t)st.st_size + 1 : 4097;
	if (room > limit + 1)
		room = limit + 1;
	text = xmalloc(room + 1);
	for (used = 0;;) {
		size_t got = 0;

		r = read_all(fd, text + used, room - used, &got);
		if (r < 0)
			return r;
		used += got;
		if (used < room)
			break;
		if (used > limit)
			return -EFBIG;
		room = room * 2 > limit + 1 ? limit + 1 : room * 2;
		text = xrealloc(text, room + 1, 1);
	}
	if (used > limit)
		return -EFBIG;
	text[used] = 0;
	*ret_text = TAKE_PTR(text);
	if (ret_size)
		*ret_size = used;
	return 0;
}

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

static int sync_folder(int dirfd, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder =
		slash ? strndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	_cleanup_close_ int fd = -1;

	if (!folder)
		return -ENOMEM;
	fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int replace(int dirfd, const char *path, const void *data, size_t size, mode_t mode,
		   bool now)
{
	const char *slash = strrchr(path, '/');
	int folder = slash ? (int)(slash - path) + 1 : 0;
	_cleanup_free_ char *temporary =
		xasprintf("%.*s.tmp-%d-%s", folder, path, getpid(), path + folder);
	_cleanup_close_ int fd = openat(
		dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, size);
	if (!r && now && fsync(fd) < 0)
		r = -errno;
	if (!r && renameat(dirfd, temporary, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temporary, 0);
		return r;
	}
	return now ? sync_folder(dirfd, path) : 0;
}

int file_replace(int dirfd, const char *path, const void *data, size_t size, mode_t mode)
{
	return replace(dirfd, path, data, size, mode, true);
}

int file_replace_soon(int dirfd, const char *path, const void *data, size_t size, mode_t mode)
{
	return replace(dirfd, path, data, size, mode, false);
}

int dir_make(const char *path, mode_t mode, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *p = copy + 1;; p++) {
		char end = *p;

		if (end && end != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_errno(err, -errno, "mkdir %s", copy);
		if (!end)
			return 0;
		*p = end;
	}
}

int dir_check_private(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(err, -errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s: not a folder", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, -EPERM,
			       "%s: belongs to uid %u, must belong to root (chown root %s)", path,
			       st.st_uid, path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM,
			       "%s: mode %04o lets others write, must not (chmod go-w %s)", path,
			       st.st_mode & 07777, path);
	return 0;
}
