/* SPDX-License-Identifier: Apache-2.0 */
/* A folder with all that is in it. Symbolic links are removed, not followed. */
#ifndef MARGAY_CTL_REMOVE_H
#define MARGAY_CTL_REMOVE_H

struct err;

/* 0 also if it is not there. */
int remove_tree(const char *path, struct err *err);

#endif
