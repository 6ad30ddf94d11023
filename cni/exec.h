/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another CNI plugin: found by name in the folders of CNI_PATH, configuration on its stdin,
 * result from its stdout (a limit to both), stderr shared. No shell, no descriptor of ours.
 */
#ifndef MARGAY_CNI_EXEC_H
#define MARGAY_CNI_EXEC_H

#include <stddef.h>

struct err;

#define CNI_EXEC_OUTPUT_MAX (256 * 1024)

struct cni_exec {
	const char *plugin;  /* a file name, no path */
	const char *path;    /* CNI_PATH */
	const char *command; /* CNI_COMMAND and so on of the child; the rest is inherited */
	const char *container;
	const char *netns;
	const char *ifname;
	const char *input;
	long long deadline; /* rpc_now(): then it is killed */
};

/* 0: it ran; ret_status is its exit status (128 + n: ended by signal n), ret_output what it
 * printed, NUL-terminated, the caller's. -ENOENT: no such plugin in path. */
int cni_exec(const struct cni_exec *exec, int *ret_status, char **ret_output, struct err *err);

#endif
