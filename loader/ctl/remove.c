/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/remove.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>

#include "base/err.h"

#define DESCRIPTORS 16

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) < 0 && errno != ENOENT && errno != EBUSY ? -1 : 0;
}

int remove_tree(const char *path, struct err *err)
{
	if (!nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS) || errno == ENOENT)
		return 0;
	return err_errno(err, -errno, "remove %s", path);
}
