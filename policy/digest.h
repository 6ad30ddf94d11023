/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests (abi/digest.h): the first half of a SHA-256.
 */
#ifndef MARGAY_POLICY_DIGEST_H
#define MARGAY_POLICY_DIGEST_H

#include <stddef.h>
#include <string.h>

#include "abi/digest.h"

void digest_of(const void *data, size_t size, struct mg_digest *ret_digest);

static inline int digest_is_zero(const struct mg_digest *digest)
{
	static const struct mg_digest zero;

	return !memcmp(digest, &zero, sizeof(zero));
}

#endif
