/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A number's content, shortened: the agent finds its numbers again after a restart.
 */
#ifndef MARGAY_ABI_DIGEST_H
#define MARGAY_ABI_DIGEST_H

#include <linux/types.h>

struct mg_digest {
	__u8 b[16]; /* first half of a SHA-256; all zero: the number is free */
};

_Static_assert(sizeof(struct mg_digest) == 16, "mg_digest");

#endif
