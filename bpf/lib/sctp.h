/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A changed port in SCTP (RFC 9260). Its CRC32c covers the ports and no addresses. A CRC is linear:
 * what the change adds to it is the CRC (without preset) of a message that is zero but for the
 * change, and that is the change moved on by the bytes behind it, a multiplication by a power of x.
 * The payload is not read.
 *
 * Polynomials over GF(2) modulo the Castagnoli polynomial, bits reflected: bit 31 is x^0.
 */
#ifndef MARGAY_LIB_SCTP_H
#define MARGAY_LIB_SCTP_H

#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/csum.h"
#include "lib/packet.h"

#define SCTP_POLYNOMIAL 0x82f63b78U
#define SCTP_CRC_OFFSET 8
#define SCTP_LENGTH_BITS 16

/* x^(8 * 2^n): 2^n bytes further. */
static const __u32 sctp_powers[SCTP_LENGTH_BITS] = {
	0x00800000, 0x00008000, 0x82f63b78, 0x6ea2d55c, 0x18b8ea18, 0x510ac59a,
	0xb82be955, 0xb8fdb1e7, 0x88e56f72, 0x74c360a4, 0xe4172b16, 0x0d65762a,
	0x35d73a62, 0x28461564, 0xbf455269, 0xe2ea32dc,
};

/* Moving a change on by a number of bytes; the callback's memory. */
struct sctp_shift {
	__u32 value;
	__u32 bytes;
};

/* value where the bit is 1, else 0, by a product: of a mask the compiler makes a branch, or the
 * verifier two ways of each bit. */
static __always_inline __u32 sctp_if(__u32 bit, __u32 value)
{
	asm volatile("" : "+r"(bit));
	return bit * value;
}

static __always_inline __u32 sctp_times_x(__u32 value)
{
	return value >> 1 ^ (sctp_if(value & 1, SCTP_POLYNOMIAL));
}

static __always_inline __u32 sctp_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int i = 0; i < 32; i++) {
		product ^= sctp_if(a >> 31, b);
		a <<= 1;
		b = sctp_times_x(b);
	}
	return product;
}

/* Callback of bpf_loop(): one bit of the number of bytes. */
static long sctp_shift_bit(__u32 index, struct sctp_shift *shift)
{
	__u32 bit = index & (SCTP_LENGTH_BITS - 1), moved;

	moved = sctp_multiply(sctp_powers[bit], shift->value);
	shift->value ^= sctp_if(shift->bytes >> bit & 1, shift->value ^ moved);
	return 0;
}

/* What two bytes that change by `change` (network order) add to the CRC with `behind` more bytes
 * to come. Verified once. */
__weak __noinline __u32 sctp_crc_change(__u32 change, __u32 behind)
{
	struct sctp_shift shift = { .bytes = behind };

	shift.value = bpf_ntohs(change) >> 8;
	for (int i = 0; i < 8; i++)
		shift.value = sctp_times_x(shift.value);
	shift.value ^= bpf_ntohs(change) & 0xff;
	for (int i = 0; i < 8; i++)
		shift.value = sctp_times_x(shift.value);
	bpf_loop(SCTP_LENGTH_BITS, sctp_shift_bit, &shift, 0);
	return shift.value;
}

/* Stands in the packet with its least byte first. */
static __always_inline __u32 sctp_to_le(__u32 crc)
{
	return __builtin_bswap32(bpf_htonl(crc));
}

static __always_inline int sctp_store(struct __sk_buff *skb, __u32 at, const void *bytes,
				      __u32 size)
{
	return bpf_skb_store_bytes(skb, at, bytes, size, BPF_F_RECOMPUTE_CSUM) ? -MG_DROP_CSUM : 0;
}

/* The port at this offset of the transport header. A checksum that the device will write
 * (CHECKSUM_PARTIAL) stays as it is. A fragment does not tell how long its packet is. */
static __always_inline int sctp_port(struct __sk_buff *skb, const struct packet *pkt, __u32 at,
				     __be16 from, __be16 to)
{
	__u32 length = pkt->l3_length - (pkt->l4_offset - pkt->l3_offset);
	__u32 check_at = pkt->l4_offset + SCTP_CRC_OFFSET, crc;
	bool partial;
	int r;

	if (pkt->flags & PKT_FRAGMENT)
		return -MG_DROP_NAT_UNSUPPORTED;
	if (bpf_skb_load_bytes(skb, check_at, &crc, sizeof(crc)) ||
	    csum_is_partial(skb, check_at, &partial))
		return -MG_DROP_CSUM;
	r = sctp_store(skb, pkt->l4_offset + at, &to, sizeof(to));
	if (r || partial)
		return r;
	crc ^= sctp_to_le(sctp_crc_change(from ^ to, length - at - sizeof(to)));
	return sctp_store(skb, check_at, &crc, sizeof(crc));
}

#endif
