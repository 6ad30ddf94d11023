/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/cgroup.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/pins.h"
#include "dataplane/reset.h"

struct run {
	const struct dp_reset *what;
	struct dp_reset_report report;
	struct err first; /* failure */
	unsigned int failures;
};

static void note(struct run *run, int r, const struct err *err)
{
	if (!r || r == -ENOENT || r == -ENODEV)
		return;
	if (!run->failures++)
		err_set(&run->first, r, "%s", err->text);
}

/* Programs that are pinned are known without CAP_SYS_ADMIN. */
static void learn_programs(const char *root)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		_cleanup_close_ int fd = -1;

		if (!pin_open_prog(root, dp_progs[i].name, &fd, NULL))
			(void)dp_attach_know(fd);
	}
}

static unsigned int attached_count(int ifindex)
{
	static const struct dp_attach_ops *const all[] = { &dp_attach_tcx, &dp_attach_clsact };
	unsigned int count = 0;
	struct dp_attached now;

	for (int i = 0; i < 4; i++) {
		if (!all[i / 2]->query(ifindex, i % 2 ? DP_EGRESS : DP_INGRESS, &now, NULL))
			count += now.id != 0;
	}
	return count;
}

static bool is_to_delete(const struct run *run, const struct net_link *link)
{
	const char *vxlan = run->what->vxlan ? run->what->vxlan : DP_VXLAN_NAME;
	const char *prefix = run->what->link_prefix;

	if (!strcmp(link->kind, "vxlan") && !strcmp(link->name, vxlan))
		return true;
	return prefix && prefix[0] && !strcmp(link->kind, "veth") &&
	       !strncmp(link->name, prefix, strlen(prefix));
}

static void reset_links(struct run *run, struct net_sock *sock)
{
	_cleanup_free_ struct net_link *links = NULL;
	struct err err = { 0 };
	size_t count = 0;
	int r = net_link_list(sock, &links, &count, &err);

	note(run, r, &err);
	for (size_t i = 0; i < count; i++) {
		unsigned int attached = attached_count(links[i].ifindex);

		r = dp_detach_all(links[i].ifindex, &err);
		note(run, r, &err);
		if (!r)
			run->report.detached += attached;
		if (!is_to_delete(run, &links[i]))
			continue;
		r = net_link_delete(sock, links[i].ifindex, &err);
		note(run, r, &err);
		run->report.links += !r;
	}
}

static void reset_routes(struct run *run, struct net_sock *sock)
{
	_cleanup_free_ struct net_route *routes = NULL;
	struct err err = { 0 };
	size_t count = 0;
	int r = net_route_list(sock, NET_PROTOCOL, &routes, &count, &err);

	note(run, r, &err);
	for (size_t i = 0; i < count; i++) {
		r = net_route_delete(sock, &routes[i], &err);
		note(run, r, &err);
		run->report.routes += !r;
	}
}

/* Everything in one folder of pins, and the folder. */
static void reset_folder(struct run *run, const char *root, const char *folder)
{
	char path[PATH_MAX], pin[PATH_MAX + NAME_MAX + 2];
	struct err err = { 0 };
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", root, folder);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(pin, sizeof(pin), "%s/%s", path, entry->d_name);
		if (!unlink(pin))
			run->report.pins++;
		else
			note(run, err_errno(&err, -errno, "%s", pin), &err);
	}
	closedir(dir);
	if (rmdir(path))
		note(run, err_errno(&err, -errno, "%s", path), &err);
}

static void reset_pins(struct run *run, const char *root)
{
	static const char *const files[] = { "meta", "meta-new" };
	static const char *const folders[] = { "links", "progs", "pages", "maps" };
	char path[PATH_MAX];
	struct err err = { 0 };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		reset_folder(run, root, folders[i]);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		if (!unlink(path))
			run->report.pins++;
	}
	if (rmdir(root) && errno != ENOENT)
		note(run, err_errno(&err, -errno, "%s", root), &err);
}

int dp_reset_node(const struct dp_reset *what, struct dp_reset_report *ret_report, struct err *err)
{
	const char *root = what->root ? what->root : DP_ROOT_DEFAULT;
	_cleanup_net_ struct net_sock *sock = NULL;
	struct run run = { .what = what };
	struct err own = { 0 };
	int r = net_open(&sock, &own);

	learn_programs(root);
	note(&run, r, &own);
	run.report.detached += dp_cgroup_detach(root);
	if (!r) {
		reset_links(&run, sock);
		reset_routes(&run, sock);
	}
	/* Last: pins are how a second run would know our programs. */
	if (!run.failures)
		reset_pins(&run, root);
	*ret_report = run.report;
	dp_attach_forget();
	if (!run.failures)
		return 0;
	return err_set(err, run.first.code, "%s%s", run.first.text,
		       run.failures > 1 ? " (and more)" : "");
}
