/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Checksums. Those of packets under way are updated by difference, through the kernel's helpers,
 * which know of CHECKSUM_PARTIAL and CHECKSUM_COMPLETE: a change of an address is one of the
 * pseudo header, a change of a port is not. Those of headers we make are summed whole.
 *
 * CHECKSUM_COMPLETE and IPv6: the L4 helper counts the change of the checksum field into
 * skb->csum, and so the address has to be stored with BPF_F_RECOMPUTE_CSUM. An IPv4 address
 * must not: there the change of the header's own checksum balances it.
 *
 * Sources: RFC 1071, 1624, 768 (a UDP checksum of zero means none), 8200 section 8.1.
 */
#ifndef MARGAY_LIB_CSUM_H
#define MARGAY_LIB_CSUM_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/addr.h"

#define CSUM_NONE 0xffff /* the protocol has no checksum that covers ports or addresses */

/* Where a transport header keeps its checksum. */
static __always_inline __u32 csum_offset(__u8 proto)
{
	if (proto == IPPROTO_TCP)
		return 16;
	if (proto == IPPROTO_UDP)
		return 6;
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return 2;
	return CSUM_NONE;
}

/* ICMP of IPv4 alone covers no addresses. */
static __always_inline bool csum_has_pseudo(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMPV6;
}

static __always_inline __u64 csum_flags(__u8 proto)
{
	return proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/* The sum of 16-bit words folded and turned over: a header's checksum field. */
static __always_inline __u16 csum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Will the kernel or the device still write the checksum at this place (CHECKSUM_PARTIAL)? No
 * helper says so, but one of them acts by it: it leaves such a field alone. */
static __always_inline int csum_is_partial(struct __sk_buff *skb, __u32 at, bool *ret_partial)
{
	__be16 before, after;

	if (bpf_skb_load_bytes(skb, at, &before, sizeof(before)) ||
	    bpf_l4_csum_replace(skb, at, 0, bpf_htons(1), sizeof(before)) ||
	    bpf_skb_load_bytes(skb, at, &after, sizeof(after)))
		return -1;
	*ret_partial = before == after;
	return *ret_partial ? 0 : bpf_skb_store_bytes(skb, at, &before, sizeof(before), 0);
}

/* What 16 bytes less 16 other bytes add to a sum. */
static __always_inline __u32 csum_diff_addr(const union mg_addr *from, const union mg_addr *to)
{
	return bpf_csum_diff((__be32 *)from->w, sizeof(from->w), (__be32 *)to->w, sizeof(to->w), 0);
}

#endif
