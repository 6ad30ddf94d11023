/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket programs (group "sock") at a cgroup: one BPF link a program, pinned as ROOT/links/NAME, so
 * that they outlive the agent. A link is taken over where it is at that cgroup and gets the set's
 * program in one call; otherwise a new one stands before the old one goes. They run beside other
 * programs of that cgroup and of those below.
 *
 * The programs act on sockets of the namespaces in mg_netns alone, so several sets may be at one
 * cgroup (at most 64 programs a hook).
 */
#ifndef MARGAY_DATAPLANE_CGROUP_H
#define MARGAY_DATAPLANE_CGROUP_H

#include <limits.h>
#include <stdbool.h>

struct dp;
struct err;

/* Where a cgroup2 hierarchy is mounted, the first of /proc/self/mounts. -ENOENT: nowhere. */
int dp_cgroup_find(char ret_path[PATH_MAX], struct err *err);
/* The same of those mounted at a folder or below it. */
int dp_cgroup_find_in(const char *folder, char ret_path[PATH_MAX], struct err *err);

/* path: a cgroup2 folder. 1: something was attached or swapped, 0: all was as it should be.
 * -ENOENT: the group did not load, -ENOTDIR: no cgroup2 folder, -EPERM: another's program is there
 * that allows no second one. */
int dp_cgroup_attach(const struct dp *dp, const char *path, struct err *err);

/* Gives this set's programs to the links that are there, and makes none. */
int dp_cgroup_swap(const struct dp *dp, struct err *err);

/* All links of ROOT (NULL: DP_ROOT_DEFAULT) off; returns how many there were. */
unsigned int dp_cgroup_detach(const char *root);

#endif
