/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces of the calling thread, and sysctls in them.
 *
 *	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
 *	r = netns_enter(fd, &token, err);
 *	...			in the namespace, until the function returns
 */
#ifndef MARGAY_DATAPLANE_NETNS_H
#define MARGAY_DATAPLANE_NETNS_H

#include <stddef.h>
#include <linux/types.h>

struct err;

struct netns_token {
	int home; /* descriptor of the namespace to return to; -1: not entered */
};
#define NETNS_NONE { .home = -1 }

/* -ENOENT: the path is gone. -EINVAL: it is no network namespace. */
int netns_open(const char *path, int *ret_fd, struct err *err);
int netns_enter(int netns_fd, struct netns_token *ret_token, struct err *err);
/* Aborts if it cannot return: nothing may go on in the wrong namespace. Harmless twice. */
void netns_leave(struct netns_token *token);

/* SO_NETNS_COOKIE: the number the kernel gave the namespace for its life, never 0. */
int netns_cookie(int netns_fd, __u64 *ret_cookie, struct err *err);
int netns_own_cookie(__u64 *ret_cookie, struct err *err); /* the calling thread's */
/* 1: a is the namespace of the calling thread; 0: it is another. */
int netns_is_current(int netns_fd);

/* name below /proc/sys/net with slashes: "ipv4/conf/eth0/forwarding". A value that stands already
 * is not written. -EINVAL: the name leaves /proc/sys/net. */
int netns_sysctl_set(const char *name, const char *value, struct err *err);
int netns_sysctl_get(const char *name, char *ret_value, size_t size, struct err *err);

#endif
