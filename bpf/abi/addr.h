/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses and prefixes as every map and both compilers see them.
 *
 * An address is always 16 bytes in network order; an IPv4 address is v4-mapped
 * (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2). A prefix length counts from the
 * start of the 16 bytes, so 10.0.0.0/8 has length 96 + 8 = 104.
 */
#ifndef MARGAY_ABI_ADDR_H
#define MARGAY_ABI_ADDR_H

#include <linux/types.h>

#define MG_V4_PREFIX_BITS 96
#define MG_ADDR_BITS 128

union mg_addr {
	__u8 b[16];
	__be16 h[8];
	__be32 w[4];
	__u64 d[2];
};

/* Key of a longest-prefix trie: the kernel demands the length first. */
struct mg_prefix {
	__u32 len; /* bits, 0 to 128 */
	union mg_addr addr;
} __attribute__((packed, aligned(4)));

_Static_assert(sizeof(union mg_addr) == 16, "mg_addr");
_Static_assert(sizeof(struct mg_prefix) == 20, "mg_prefix");

#endif
