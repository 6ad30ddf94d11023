/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files as a daemon that runs as root needs them: read with a limit, replaced whole, and owned
 * by nobody else.
 */
#ifndef MARGAY_BASE_FILE_H
#define MARGAY_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

struct err;

/* The whole file, NUL-terminated; the caller frees. -EFBIG beyond limit. dirfd as openat(2). */
int file_read(int dirfd, const char *path, size_t limit, char **ret_text, size_t *ret_size);

/* Replaces path in one step: temporary file beside it (".tmp-..."), fsync, rename, fsync of the
 * folder. Readers see the old or the new content, never a part. */
int file_replace(int dirfd, const char *path, const void *data, size_t size, mode_t mode);
/* The same without fsync, for what nobody needs after a power failure: then the file may be as it
 * was, empty or missing. */
int file_replace_soon(int dirfd, const char *path, const void *data, size_t size, mode_t mode);

/* mkdir -p; folders that are made get mode. */
int dir_make(const char *path, mode_t mode, struct err *err);

/* 0 if path is a folder that belongs to root (or to the caller, where that is not root) and is
 * writable by nobody else; otherwise -EPERM and err says what to change. */
int dir_check_private(const char *path, struct err *err);

#endif
