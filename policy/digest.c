/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/digest.h"

#include "base/sha.h"

void digest_of(const void *data, size_t size, struct mg_digest *ret_digest)
{
	uint8_t whole[SHA256_SIZE];

	sha256(data, size, whole);
	memcpy(ret_digest, whole, sizeof(*ret_digest));
}
