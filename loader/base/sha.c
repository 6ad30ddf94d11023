/* SPDX-License-Identifier: Apache-2.0 */
/* The functions below EVP are deprecated for new code that wants to choose algorithms; see sha.h.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha.h"

#include <openssl/sha.h>

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "SHA256_SIZE");

void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_SIZE])
{
	SHA256_CTX context;

	SHA256_Init(&context);
	SHA256_Update(&context, data, size);
	SHA256_Final(ret_digest, &context);
}
