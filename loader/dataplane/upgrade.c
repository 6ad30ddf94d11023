/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pins of a set, and the change from the pinned set to a new one (design, "Upgrade").
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/cgroup.h"
#include "dataplane/dp.h"
#include "dataplane/netlink.h"
#include "dataplane/pins.h"

#define NEW "-new"
/* A plugin that opened the old pin attaches at most one device a call: two walks find all. */
#define WALKS_MAX 8

void dp_pin_path(const struct dp *dp, const char *folder, const char *name, const char *suffix,
		 char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s%s%s%s", dp->root, folder, *name ? "/" : "", name, suffix);
}

static int pin_at(const char *path, int fd, struct err *err)
{
	int r;

	(void)unlink(path); /* of an agent that died on the way */
	r = bpf_obj_pin(fd, path);
	if (!r && chmod(path, 0600))
		r = -errno;
	return r ? err_errno(err, r, "pin %s", path) : 0;
}

int dp_pin_over(const struct dp *dp, const char *folder, const char *name, int fd, struct err *err)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int r;

	dp_pin_path(dp, folder, name, "", path);
	dp_pin_path(dp, folder, name, NEW, fresh);
	r = pin_at(fresh, fd, err);
	if (!r && rename(fresh, path))
		r = err_errno(err, -errno, "pin %s", path);
	return r;
}

/* The pin of chunk 0, which the object made: later ones are made by pages.c. */
static int pin_first_chunk(const struct dp *dp, const struct dp_row *row, struct err *err)
{
	char name[32], path[PATH_MAX];
	__u32 zero = 0, id;
	_cleanup_close_ int fd = -1;
	int r = dp_map_get(&row->map, &zero, &id);

	if (r == -ENOENT)
		return 0;
	if (r)
		return err_errno(err, r, "map %s", row->name);
	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return err_errno(err, fd, "chunk 0 of map %s", row->name);
	snprintf(name, sizeof(name), "%u-0", row->map.id);
	dp_pin_path(dp, "pages", name, "", path);
	return pin_at(path, fd, err);
}

static int pin_row(const struct dp *dp, const struct dp_row *row, struct err *err)
{
	char path[PATH_MAX];
	int r = 0;

	if (!row->made || row->class == MAP_SCRATCH)
		return 0;
	if (!strcmp(row->name, "mg_pages"))
		r = pin_first_chunk(dp, row, err);
	if (r)
		return r;
	/* Until the takeover the former map keeps its name: the plugin and old programs use it. */
	dp_pin_path(dp, "maps", row->name, row->former.fd >= 0 ? NEW : "", path);
	return pin_at(path, row->map.fd, err);
}

static int pin_progs(const struct dp *dp, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < dp_prog_count && !r; i++) {
		if (dp->prog[i] >= 0)
			r = dp_pin_over(dp, "progs", dp_progs[i].name, dp->prog[i], err);
	}
	return r;
}

static int rename_maps(const struct dp *dp, struct err *err)
{
	char path[PATH_MAX], fresh[PATH_MAX];

	for (size_t i = 0; i < dp->row_count; i++) {
		const struct dp_row *row = &dp->rows[i];

		if (!row->made || row->former.fd < 0)
			continue;
		dp_pin_path(dp, "maps", row->name, "", path);
		dp_pin_path(dp, "maps", row->name, NEW, fresh);
		/* Renamed already by a takeover that failed later on. */
		if (rename(fresh, path) && errno != ENOENT)
			return err_errno(err, -errno, "pin %s", path);
	}
	return 0;
}

int dp_pin_set(struct dp *dp, bool in_force, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < dp->row_count && !r; i++)
		r = pin_row(dp, &dp->rows[i], err);
	if (r || !in_force)
		return r;
	r = rename_maps(dp, err);
	if (!r)
		r = pin_progs(dp, err);
	if (!r)
		r = dp_meta_write(dp, err);
	dp->in_force = !r;
	return r;
}

/* --- devices --- */

static int index_of_id(const struct dp *dp, __u32 id)
{
	char name[16];
	__u32 known;

	for (size_t i = 0; i < dp_prog_count; i++) {
		if (dp->former_prog[i] >= 0 && !prog_id_of(dp->former_prog[i], &known) &&
		    known == id)
			return (int)i;
	}
	if (prog_name_of(id, name))
		return -1;
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (!strcmp(dp_progs[i].name, name))
			return (int)i;
	}
	return -1;
}

struct swap {
	const struct dp *dp;
	int prog; /* index of dp_progs[] */
	unsigned int count;
};

static int swap_point(struct swap *swap, const struct dp_attach_ops *ops, int ifindex,
		      enum dp_way way, struct err *err)
{
	int fd = swap->dp->prog[swap->prog], r;
	struct dp_attached now;
	__u32 id;

	r = ops->query(ifindex, way, &now, err);
	/* The device went, or the kernel has no TCX. */
	if (r == -ENODEV || r == -EINVAL || r == -ENOENT)
		return err_clear(err);
	if (r)
		return r;
	if (!now.id || prog_id_of(fd, &id) || now.id == id ||
	    index_of_id(swap->dp, now.id) != swap->prog)
		return 0;
	swap->count++;
	r = ops->attach(ifindex, way, fd, err);
	return r == -ENODEV ? err_clear(err) : r;
}

static int swap_links(struct swap *swap, const struct net_link *links, size_t count,
		      struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		r = swap_point(swap, &dp_attach_tcx, links[i].ifindex, DP_INGRESS, err);
		if (!r)
			r = swap_point(swap, &dp_attach_tcx, links[i].ifindex, DP_EGRESS, err);
		if (!r)
			r = swap_point(swap, &dp_attach_clsact, links[i].ifindex, DP_INGRESS, err);
		if (!r)
			r = swap_point(swap, &dp_attach_clsact, links[i].ifindex, DP_EGRESS, err);
	}
	return r;
}

static int walk_devices(const struct dp *dp, unsigned int *ret_count, struct err *err)
{
	_cleanup_free_ struct net_link *links = NULL;
	_cleanup_net_ struct net_sock *sock = NULL;
	struct swap swap = { .dp = dp };
	size_t count = 0;
	int r = net_open(&sock, err);

	if (!r)
		r = net_link_list(sock, &links, &count, err);
	for (size_t i = 0; i < dp_prog_count && !r; i++) {
		swap.prog = (int)i;
		if (dp->prog[i] >= 0 && dp_progs[i].group != DP_GROUP_SOCK)
			r = swap_links(&swap, links, count, err);
	}
	*ret_count = swap.count;
	return r;
}

static int swap_devices(const struct dp *dp, struct err *err)
{
	unsigned int count = 1;
	int r = 0;

	for (int i = 0; i < WALKS_MAX && count && !r; i++)
		r = walk_devices(dp, &count, err);
	return r;
}

static void close_former(struct dp *dp)
{
	for (size_t i = 0; i < dp->row_count; i++)
		dp_map_done(&dp->rows[i].former);
	for (size_t i = 0; i < DP_PROGS_MAX; i++) {
		if (dp->former_prog[i] >= 0)
			close(dp->former_prog[i]);
		dp->former_prog[i] = -1;
	}
	/* What is known is held: the former programs are free to go now. */
	dp_attach_forget();
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (dp->prog[i] >= 0)
			(void)dp_attach_know(dp->prog[i]);
	}
}

int dp_takeover(struct dp *dp, struct err *err)
{
	int r;

	if (dp->in_force)
		return 0;
	r = dp_carry_rows(dp, true, err);
	if (!r)
		r = dp_meta_tear(dp, err);
	if (!r)
		r = rename_maps(dp, err);
	if (!r)
		r = pin_progs(dp, err);
	/* The bulk took its time: what changed meanwhile, then the swap, then what came during it.
	 */
	if (!r)
		r = dp_carry_rows(dp, true, err);
	if (!r)
		r = dp_cgroup_swap(dp, err);
	if (!r)
		r = swap_devices(dp, err);
	if (!r)
		r = dp_carry_rows(dp, false, err);
	if (!r)
		r = dp_meta_write(dp, err);
	if (r)
		return err_wrap(err, r, "upgrade");
	close_former(dp);
	dp->in_force = true;
	return 0;
}
