/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs another program to its end: text on its stdin, what it prints on stdout read with a limit,
 * stderr shared, a deadline after which it is killed. No shell, no descriptor of ours.
 */
#ifndef MARGAY_BASE_EXEC_H
#define MARGAY_BASE_EXEC_H

#include <stddef.h>

struct err;

struct exec {
	const char *file;	  /* path of the program */
	const char *name;	  /* what messages call it */
	char *const *argv;	  /* argv[0] included, NULL behind the last */
	char *const *environment; /* "NAME=value", NULL behind the last; the whole of it */
	const char *input;	  /* NULL: none */
	size_t output_max;	  /* bytes */
	long long deadline;	  /* rpc_now() */
};

/* 0: it ran; ret_status is its exit status (128 + n: ended by signal n), ret_output what it
 * printed, NUL-terminated, the caller's. -ETIMEDOUT, -EFBIG: it was killed; -ENOENT, -EACCES ...:
 * it cannot be run. */
int exec_run(const struct exec *exec, int *ret_status, char **ret_output, struct err *err);

/* The executable file of that name in the folders of path ("a:b:c"), or name itself where it has
 * a slash; the caller frees. NULL: there is none. */
char *exec_find(const char *name, const char *path);

#endif
