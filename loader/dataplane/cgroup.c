/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/cgroup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/dp.h"
#include "dataplane/pins.h"

static const struct {
	const char *name;
	enum bpf_attach_type type;
} hooks[] = {
	/* who tells comes before who translates: a socket is never shown the backend */
	{ "sock_recvmsg4", BPF_CGROUP_UDP4_RECVMSG },
	{ "sock_recvmsg6", BPF_CGROUP_UDP6_RECVMSG },
	{ "sock_peername4", BPF_CGROUP_INET4_GETPEERNAME },
	{ "sock_peername6", BPF_CGROUP_INET6_GETPEERNAME },
	{ "sock_sendmsg4", BPF_CGROUP_UDP4_SENDMSG },
	{ "sock_sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
	{ "sock_connect4", BPF_CGROUP_INET4_CONNECT },
	{ "sock_connect6", BPF_CGROUP_INET6_CONNECT },
};

#define HOOKS (sizeof(hooks) / sizeof(hooks[0]))

static bool is_at_or_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	while (size && folder[size - 1] == '/')
		size--;
	return !strncmp(path, folder, size) && (path[size] == '/' || !path[size]);
}

int dp_cgroup_find_in(const char *folder, char ret_path[PATH_MAX], struct err *err)
{
	_cleanup_fclose_ FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX + 256];
	struct mntent row;

	if (!mounts)
		return err_errno(err, -errno, "/proc/self/mounts");
	while (getmntent_r(mounts, &row, line, sizeof(line))) {
		if (strcmp(row.mnt_type, "cgroup2") != 0 || !is_at_or_below(row.mnt_dir, folder))
			continue;
		snprintf(ret_path, PATH_MAX, "%s", row.mnt_dir);
		return 0;
	}
	return err_set(err, -ENOENT, "no cgroup2 file system is mounted");
}

int dp_cgroup_find(char ret_path[PATH_MAX], struct err *err)
{
	return dp_cgroup_find_in("/", ret_path, err);
}

static int open_cgroup(const char *path, int *ret_fd, __u64 *ret_id, struct err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;
	struct stat info;

	if (fd < 0 || fstatfs(fd, &fs) || fstat(fd, &info))
		return err_errno(err, -errno, "cgroup %s", path);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(err, -ENOTDIR, "%s is not in a cgroup2 file system", path);
	*ret_fd = TAKE_FD(fd);
	*ret_id = info.st_ino; /* the kernel's own number of the cgroup */
	return 0;
}

static void link_path(const char *root, const char *name, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/links/%s", root ? root : DP_ROOT_DEFAULT, name);
}

/* Off at once: with its last descriptor alone a link would go some time later. */
static void take_off(int link)
{
	(void)bpf_link_detach(link);
}

/* -ENOENT: no pin, or what is pinned there is no link to a cgroup. */
static int open_link(const struct dp *dp, unsigned int hook, int *ret_fd,
		     struct bpf_link_info *ret_info)
{
	__u32 size = sizeof(*ret_info);
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r;

	link_path(dp->root, hooks[hook].name, path);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	memset(ret_info, 0, size);
	r = bpf_obj_get_info_by_fd(fd, ret_info, &size);
	if (r)
		return r;
	if (ret_info->type != BPF_LINK_TYPE_CGROUP ||
	    ret_info->cgroup.attach_type != hooks[hook].type)
		return -ENOENT;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int renew(int link, const struct bpf_link_info *info, int prog)
{
	__u32 id;
	int r = prog_id_of(prog, &id);

	if (r || info->prog_id == id)
		return r;
	r = bpf_link_update(link, prog, NULL);
	return r ? r : 1;
}

static int attach_hook(const struct dp *dp, unsigned int hook, int cgroup, __u64 id,
		       struct err *err)
{
	_cleanup_close_ int former = -1, fresh = -1;
	int prog = dp_prog_fd(dp, hooks[hook].name), r;
	struct bpf_link_info info;

	if (prog < 0)
		return err_set(err, -ENOENT, "the program did not load");
	r = open_link(dp, hook, &former, &info);
	if (!r && info.cgroup.cgroup_id == id) {
		r = renew(former, &info, prog);
		return r < 0 ? err_errno(err, r, "another program for the link") : r;
	}
	fresh = bpf_link_create(prog, cgroup, hooks[hook].type, NULL);
	if (fresh < 0)
		return err_errno(err, fresh, "attach");
	r = dp_pin_over(dp, "links", hooks[hook].name, fresh, err);
	if (!r && former >= 0)
		take_off(former);
	return r ? r : 1;
}

int dp_cgroup_attach(const struct dp *dp, const char *path, struct err *err)
{
	_cleanup_close_ int cgroup = -1;
	int changed = 0, r;
	__u64 id;

	r = open_cgroup(path, &cgroup, &id, err);
	for (unsigned int i = 0; i < HOOKS && r >= 0; i++) {
		r = attach_hook(dp, i, cgroup, id, err);
		if (r < 0)
			return err_wrap(err, r, "%s at cgroup %s", hooks[i].name, path);
		changed |= r;
	}
	return r < 0 ? r : changed;
}

int dp_cgroup_swap(const struct dp *dp, struct err *err)
{
	for (unsigned int i = 0; i < HOOKS; i++) {
		int prog = dp_prog_fd(dp, hooks[i].name), r;
		_cleanup_close_ int link = -1;
		struct bpf_link_info info;

		if (prog < 0 || open_link(dp, i, &link, &info))
			continue;
		r = renew(link, &info, prog);
		/* Its cgroup went: the next look attaches anew. */
		if (r < 0 && r != -ENOLINK)
			return err_errno(err, r, "link of %s", hooks[i].name);
	}
	return 0;
}

unsigned int dp_cgroup_detach(const char *root)
{
	unsigned int count = 0;
	char path[PATH_MAX];

	/* Who translates goes first. */
	for (unsigned int i = HOOKS; i-- > 0;) {
		_cleanup_close_ int link = -1;

		link_path(root, hooks[i].name, path);
		link = bpf_obj_get(path);
		if (link >= 0)
			take_off(link);
		count += !unlink(path);
	}
	return count;
}
