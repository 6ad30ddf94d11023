/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/rpc.h"
#include "cni/attachment.h"

/* FNV-1a, to an offset in the lock file. Two names on one offset only wait for each other. */
static off_t offset_of(const char *name)
{
	__u64 hash = 0xcbf29ce484222325ULL;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ULL;
	return (off_t)(hash >> 2);
}

int state_lock(const char *state_dir, const char *name, long long deadline, int *ret_fd,
	       struct err *err)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000000 };
	_cleanup_free_ char *path = xasprintf("%s/lock", state_dir);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = offset_of(name),
		.l_len = 1,
	};

	if (fd < 0)
		return err_errno(err, -errno, "%s", path);
	while (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return err_errno(err, -errno, "%s", path);
		if (rpc_now() >= deadline)
			return err_set(err, -ETIMEDOUT,
				       "%s: another run of the plugin works on interface %s", path,
				       name);
		nanosleep(&pause, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
