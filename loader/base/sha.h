/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4), for digests of content: names of files, versions of manifests, numbers
 * that survive a restart. Not for secrets or signatures; TLS has its own library.
 *
 * By libcrypto's functions below EVP, linked statically: EVP's first hash sets up providers and
 * configuration, 2 MiB of resident memory in an agent that has no other use for them, and the
 * shared library costs half of one (docs/decisions/memory.md).
 */
#ifndef MARGAY_BASE_SHA_H
#define MARGAY_BASE_SHA_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_SIZE]);

#endif
