/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "dataplane/netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define OWN_NETNS "/proc/thread-self/ns/net"
#define SYSCTL_MAX 4096

int netns_open(const char *path, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -errno, "network namespace %s", path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(err, -EINVAL, "%s is no network namespace", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int netns_enter(int netns_fd, struct netns_token *ret_token, struct err *err)
{
	_cleanup_close_ int home = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_errno(err, -errno, OWN_NETNS);
	if (setns(netns_fd, CLONE_NEWNET))
		return err_errno(err, -errno, "cannot enter the network namespace");
	ret_token->home = TAKE_FD(home);
	return 0;
}

void netns_leave(struct netns_token *token)
{
	if (token->home < 0)
		return;
	if (setns(token->home, CLONE_NEWNET))
		abort();
	close(token->home);
	token->home = -1;
}

int netns_own_cookie(__u64 *ret_cookie, struct err *err)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(*ret_cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &size))
		return err_errno(err, -errno, "cookie of the network namespace");
	return 0;
}

int netns_cookie(int netns_fd, __u64 *ret_cookie, struct err *err)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	int r = netns_enter(netns_fd, &token, err);

	return r ? r : netns_own_cookie(ret_cookie, err);
}

int netns_is_current(int netns_fd)
{
	struct stat there, here;

	if (fstat(netns_fd, &there) || stat(OWN_NETNS, &here))
		return -errno;
	return there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

/* A descriptor of /proc/sys/net's entry. Names come from interfaces, so a name that climbs out of
 * the folder is refused, and so is a /proc that is no proc. */
static int sysctl_open(const char *name, int flags, int *ret_fd, struct err *err)
{
	_cleanup_close_ int top = -1;
	struct statfs fs;
	int fd;

	if (name[0] == '/' || strstr(name, ".."))
		return err_set(err, -EINVAL, "sysctl net/%s: not a name", name);
	top = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0 || fstatfs(top, &fs))
		return err_errno(err, -errno, "/proc/sys/net");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, -ENOTDIR, "/proc/sys/net is no proc file system");
	fd = openat(top, name, flags | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, -errno, "sysctl net/%s", name);
	*ret_fd = fd;
	return 0;
}

int netns_sysctl_get(const char *name, char *ret_value, size_t size, struct err *err)
{
	_cleanup_close_ int fd = -1;
	ssize_t got;
	int r = sysctl_open(name, O_RDONLY, &fd, err);

	if (r)
		return r;
	got = read(fd, ret_value, size - 1);
	if (got < 0)
		return err_errno(err, -errno, "sysctl net/%s", name);
	while (got && ret_value[got - 1] == '\n')
		got--;
	ret_value[got] = '\0';
	return 0;
}

int netns_sysctl_set(const char *name, const char *value, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char now[SYSCTL_MAX];
	int r;

	if (!netns_sysctl_get(name, now, sizeof(now), NULL) && !strcmp(now, value))
		return 0;
	r = sysctl_open(name, O_WRONLY, &fd, err);
	if (r)
		return r;
	if (write(fd, value, strlen(value)) < 0)
		return err_errno(err, -errno, "sysctl net/%s = %s", name, value);
	return 0;
}
