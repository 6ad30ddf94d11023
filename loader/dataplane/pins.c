/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "dataplane/load.h"
#include "dataplane/pins.h"

#define MAPS_MAX 64

/* The marks that from_pod and from_netdev set, and their redirects, are read by the first three. */
const struct dp_prog_def dp_progs[] = {
	{ "from_tunnel", DP_GROUP_TUNNEL },  { "to_pod", DP_GROUP_POD },
	{ "to_netdev", DP_GROUP_NETDEV },    { "from_netdev", DP_GROUP_NETDEV },
	{ "from_pod", DP_GROUP_POD },	     { "xdp", DP_GROUP_XDP },
	{ "sock_recvmsg4", DP_GROUP_SOCK },  { "sock_recvmsg6", DP_GROUP_SOCK },
	{ "sock_peername4", DP_GROUP_SOCK }, { "sock_peername6", DP_GROUP_SOCK },
	{ "sock_connect4", DP_GROUP_SOCK },  { "sock_connect6", DP_GROUP_SOCK },
	{ "sock_sendmsg4", DP_GROUP_SOCK },  { "sock_sendmsg6", DP_GROUP_SOCK },
};
const size_t dp_prog_count = sizeof(dp_progs) / sizeof(dp_progs[0]);

const char *dp_group_name(enum dp_group group)
{
	static const char *const names[] = {
		[DP_GROUP_POD] = "pod", [DP_GROUP_NETDEV] = "netdev", [DP_GROUP_TUNNEL] = "tunnel",
		[DP_GROUP_XDP] = "xdp", [DP_GROUP_SOCK] = "sock",
	};

	return group < DP_GROUP_MAX ? names[group] : "?";
}

static int open_pin(const char *root, const char *folder, const char *name, int *ret_fd,
		    struct err *err)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s/%s", root ? root : DP_ROOT_DEFAULT, folder, name) >=
	    (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "pin %s", name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return err_errno(err, fd, "pin %s", path);
	*ret_fd = fd;
	return 0;
}

int pin_open_prog(const char *root, const char *name, int *ret_fd, struct err *err)
{
	return open_pin(root, "progs", name, ret_fd, err);
}

int pin_open_map(const char *root, const char *name, struct dp_map *ret_map, struct err *err)
{
	int fd, r = open_pin(root, "maps", name, &fd, err);

	return r ? r : dp_map_init(fd, ret_map, err);
}

int prog_id_of(int prog_fd, __u32 *ret_id)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	int r = bpf_obj_get_info_by_fd(prog_fd, &info, &size);

	if (!r)
		*ret_id = info.id;
	return r;
}

int prog_name_of(__u32 id, char ret_name[16])
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	int r = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &size);

	if (!r)
		snprintf(ret_name, 16, "%s", info.name);
	return r;
}

static bool is_hook_name(const char *name)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (!strcmp(dp_progs[i].name, name))
			return true;
	}
	return false;
}

static bool uses_drops(const __u32 *ids, __u32 count)
{
	for (__u32 i = 0; i < count && i < MAPS_MAX; i++) {
		_cleanup_close_ int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info info = { 0 };
		__u32 size = sizeof(info);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		    !strcmp(info.name, "mg_drops"))
			return true;
	}
	return false;
}

bool prog_id_is_ours(__u32 id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	__u32 maps[MAPS_MAX];
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)maps };
	__u32 size = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) && is_hook_name(info.name) &&
	       uses_drops(maps, info.nr_map_ids);
}
