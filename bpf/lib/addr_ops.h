/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Comparing and making addresses (abi/addr.h). Touches no map: the parser uses it natively too.
 */
#ifndef MARGAY_LIB_ADDR_OPS_H
#define MARGAY_LIB_ADDR_OPS_H

#include <stdbool.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/addr.h"

static __always_inline int addr_is_zero(const union mg_addr *addr)
{
	return !(addr->d[0] | addr->d[1]);
}

static __always_inline int addr_equal(const union mg_addr *x, const union mg_addr *y)
{
	return x->d[0] == y->d[0] && x->d[1] == y->d[1];
}

/* 4 or 6, by the v4-mapped prefix. */
static __always_inline int addr_family(const union mg_addr *addr)
{
	return !addr->d[0] && addr->w[2] == bpf_htonl(0xffff) ? 4 : 6;
}

static __always_inline void addr_set_v4(union mg_addr *addr, __be32 word)
{
	addr->d[0] = 0;
	addr->w[2] = bpf_htonl(0xffff);
	addr->w[3] = word;
}

/* No address at all: :: or 0.0.0.0. */
static __always_inline int addr_is_unspecified(const union mg_addr *addr)
{
	return !addr->d[0] && !addr->w[3] && (!addr->w[2] || addr->w[2] == bpf_htonl(0xffff));
}

/* 127.0.0.0/8 or ::1 */
static __always_inline int addr_is_loopback(const union mg_addr *addr)
{
	if (addr_family(addr) == 4)
		return (addr->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !addr->d[0] && !addr->w[2] && addr->w[3] == bpf_htonl(1);
}

/* An address that routers pass on: not of a link, not of a host's own, and there is one. */
static __always_inline int addr_is_routed(const union mg_addr *addr)
{
	__u32 first = bpf_ntohl(addr->w[3]) >> 24;

	if (addr_family(addr) == 4)
		return first && first != 127 && bpf_ntohl(addr->w[3]) >> 16 != 0xa9fe;
	/* ::/8 has the unspecified, loopback and mapped ones */
	return addr->b[0] && (addr->w[0] & bpf_htonl(0xffc00000)) != bpf_htonl(0xfe800000);
}

/* fe80::/10 */
static __always_inline int addr_is_link_local(const union mg_addr *addr)
{
	return (addr->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

#endif
