/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "datastore/dir.h"

#define LOCK_LIMIT_MS 10000

int64_t dir_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_lock(struct dir *dir, struct err *err)
{
	if (dir->lock >= 0)
		return 0;
	dir->lock = openat(dir->root, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Who may only read takes the lock on what is there. */
	if (dir->lock < 0 && (errno == EROFS || errno == EACCES))
		dir->lock = openat(dir->root, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (dir->lock < 0)
		return err_errno(err, -errno, "datastore %s/lock", dir->path);
	return 0;
}

/* flock(2) can wait, but not with a limit; a stopped process must not stop every other one. */
static int take(int fd, int mode)
{
	int64_t end = dir_now_ms() + LOCK_LIMIT_MS;
	long pause = 100000;

	for (;;) {
		if (!flock(fd, mode | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (dir_now_ms() > end)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){ .tv_nsec = pause / 2 + random() % pause }, NULL);
		if (pause < 8000000)
			pause *= 2;
	}
}

static bool was_removed(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || !st.st_nlink;
}

/* The lock on the file that is there now, not on one that was removed. */
static int lock_file(struct dir *dir, int mode, struct err *err)
{
	for (int tries = 0; tries < 3; tries++) {
		int r = open_lock(dir, err);

		if (r < 0)
			return r;
		r = take(dir->lock, mode);
		if (r == -ETIMEDOUT)
			return err_set(err, r, "datastore %s: locked by another process for %d s",
				       dir->path, LOCK_LIMIT_MS / 1000);
		if (r < 0)
			return err_errno(err, r, "datastore %s/lock", dir->path);
		if (!was_removed(dir->lock))
			return 0;
		close(TAKE_FD(dir->lock));
	}
	return err_set(err, -EIO, "datastore %s/lock: removed again and again", dir->path);
}

static int recover(struct dir *dir, struct err *err)
{
	int r = lock_file(dir, LOCK_EX, err);

	if (r < 0)
		return r;
	r = dir_recover(dir);
	return r < 0 ? err_errno(err, r, "datastore %s", dir->path) : 0;
}

int dir_lock(struct dir *dir, int mode, struct err *err)
{
	int r;

	for (int tries = 0; tries < 5; tries++) {
		r = mode == LOCK_EX ? recover(dir, err) : lock_file(dir, mode, err);
		if (r < 0 || mode == LOCK_EX)
			break;
		/* A list must not see half of what a killed writer committed. */
		r = dir_version(dir, &dir->version);
		if (!r && !dir_record_exists(dir, dir->version + 1))
			return 0;
		r = recover(dir, err);
		dir_unlock(dir);
		if (r < 0)
			break;
	}
	if (r < 0)
		dir_unlock(dir);
	return r;
}

void dir_unlock(struct dir *dir)
{
	if (dir->lock >= 0)
		flock(dir->lock, LOCK_UN);
}
