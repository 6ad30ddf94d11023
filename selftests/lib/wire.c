/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/wire.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"

#define IP4_BYTES 20
#define IP6_BYTES 40
#define ND_BYTES 24

static void put16(unsigned char *at, unsigned int value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, unsigned int value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static unsigned int get16(const unsigned char *at)
{
	return (unsigned int)(at[0] << 8 | at[1]);
}

static unsigned long sum(const unsigned char *at, size_t length, unsigned long start)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		start += get16(at + i);
	if (length & 1)
		start += (unsigned long)at[length - 1] << 8;
	return start;
}

static unsigned int folded(unsigned long total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~(unsigned int)total & 0xffff;
}

static bool is4(const struct wire_spec *spec)
{
	return addr_is4(&spec->dst);
}

static unsigned char *append(struct wire *wire, size_t length)
{
	unsigned char *at = wire->data + wire->length;

	assert(wire->length + length <= WIRE_MAX);
	memset(at, 0, length);
	wire->length += length;
	return at;
}

static void put_eth(struct wire *wire, const struct wire_spec *spec, unsigned int type)
{
	unsigned char *eth;

	wire->length = 0;
	eth = append(wire, WIRE_ETH);
	memcpy(eth, spec->to, 6);
	memcpy(eth + 6, spec->from, 6);
	put16(eth + 12, type);
}

void wire_sum4(struct wire *wire)
{
	unsigned char *ip = wire->data + WIRE_ETH;

	put16(ip + 10, 0);
	put16(ip + 10, folded(sum(ip, (ip[0] & 15) * 4UL, 0)));
}

static void put_ip4(struct wire *wire, const struct wire_spec *spec)
{
	unsigned char *ip = append(wire, IP4_BYTES);
	unsigned int fragment = spec->fragment;

	if (spec->more_fragments)
		fragment |= 0x2000;
	if (spec->dont_fragment)
		fragment |= 0x4000;
	ip[0] = 0x45;
	ip[1] = spec->tos;
	put16(ip + 4, spec->fragment_id);
	put16(ip + 6, fragment);
	ip[8] = spec->ttl ? spec->ttl : 64;
	ip[9] = spec->proto == IPPROTO_ICMPV6 ? IPPROTO_ICMP : spec->proto;
	memcpy(ip + 12, &spec->src.b[12], 4);
	memcpy(ip + 16, &spec->dst.b[12], 4);
}

static void put_ip6(struct wire *wire, const struct wire_spec *spec)
{
	unsigned char *ip = append(wire, IP6_BYTES), *ext;
	unsigned char proto = spec->proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : spec->proto;

	put32(ip, 6U << 28 | (unsigned int)spec->tos << 20);
	ip[6] = proto;
	ip[7] = spec->ttl ? spec->ttl : 64;
	memcpy(ip + 8, &spec->src, 16);
	memcpy(ip + 24, &spec->dst, 16);
	if (!spec->fragment && !spec->more_fragments)
		return;
	ip[6] = IPPROTO_FRAGMENT;
	ext = append(wire, 8);
	ext[0] = proto;
	put16(ext + 2, (unsigned int)spec->fragment << 3 | spec->more_fragments);
	put32(ext + 4, spec->fragment_id);
}

static void put_payload(struct wire *wire, size_t length)
{
	unsigned char *at = append(wire, length);

	for (size_t i = 0; i < length; i++)
		at[i] = (unsigned char)(i * 7 + 1);
}

static void put_icmp(struct wire *wire, const struct wire_spec *spec)
{
	unsigned char *icmp = append(wire, 8), *quote;

	icmp[0] = spec->icmp_type;
	icmp[1] = spec->icmp_code;
	put16(icmp + 4, spec->icmp_id);
	if (!spec->quote)
		return;
	quote = append(wire, spec->quote->length - WIRE_ETH);
	memcpy(quote, spec->quote->data + WIRE_ETH, spec->quote->length - WIRE_ETH);
}

static void put_transport(struct wire *wire, const struct wire_spec *spec)
{
	unsigned char *at = wire->data + wire->length;

	switch (spec->proto) {
	case IPPROTO_TCP:
		append(wire, 20);
		put32(at + 4, spec->seq);
		put32(at + 8, spec->ack);
		at[12] = 5 << 4;
		at[13] = spec->tcp_flags;
		put16(at + 14, spec->no_window ? 0 : 65535);
		break;
	case IPPROTO_UDP:
		append(wire, 8);
		put16(at + 4, 8U + spec->payload);
		break;
	case IPPROTO_SCTP:
		append(wire, 12);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		put_icmp(wire, spec);
		return;
	default:
		return;
	}
	put16(at, spec->sport);
	put16(at + 2, spec->dport);
}

static unsigned long pseudo_sum(const struct wire_spec *spec, unsigned int proto, size_t length)
{
	unsigned long start = proto + length;

	if (is4(spec))
		return sum(&spec->src.b[12], 4, sum(&spec->dst.b[12], 4, start));
	return sum(spec->src.b, 16, sum(spec->dst.b, 16, start));
}

/* RFC 9260 appendix A, a bit at a time. */
static unsigned int crc32c(const unsigned char *at, size_t length)
{
	unsigned int crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	}
	return ~crc;
}

static void sum_transport(struct wire *wire, const struct wire_spec *spec, size_t begin)
{
	unsigned char *at = wire->data + begin;
	size_t length = wire->length - begin;
	unsigned int result;

	switch (spec->proto) {
	case IPPROTO_TCP:
		put16(at + 16, folded(sum(at, length, pseudo_sum(spec, IPPROTO_TCP, length))));
		break;
	case IPPROTO_UDP:
		result = folded(sum(at, length, pseudo_sum(spec, IPPROTO_UDP, length)));
		put16(at + 6, result ? result : 0xffff);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		put16(at + 2,
		      folded(sum(at, length,
				 is4(spec) ? 0 : pseudo_sum(spec, IPPROTO_ICMPV6, length))));
		break;
	case IPPROTO_SCTP:
		put32(at + 8, htobe32(htole32(crc32c(at, length))));
		break;
	default:
		break;
	}
}

/* Lengths of the network header, now that all is there. */
static void finish_ip(struct wire *wire, const struct wire_spec *spec)
{
	unsigned char *ip = wire->data + WIRE_ETH;

	if (!is4(spec)) {
		put16(ip + 4, (unsigned int)(wire->length - WIRE_ETH - IP6_BYTES));
		return;
	}
	put16(ip + 2, (unsigned int)(wire->length - WIRE_ETH));
	wire_sum4(wire);
}

void wire_make(struct wire *wire, const struct wire_spec *spec)
{
	size_t begin;

	put_eth(wire, spec, is4(spec) ? ETH_P_IP : ETH_P_IPV6);
	if (is4(spec))
		put_ip4(wire, spec);
	else
		put_ip6(wire, spec);
	begin = wire->length;
	if (!spec->fragment)
		put_transport(wire, spec);
	put_payload(wire, spec->payload);
	if (!spec->fragment)
		sum_transport(wire, spec, begin);
	finish_ip(wire, spec);
}

void wire_arp(struct wire *wire, unsigned short op, const struct wire_spec *ends,
	      const union mg_addr *sender, const union mg_addr *target)
{
	unsigned char *arp;

	put_eth(wire, ends, ETH_P_ARP);
	arp = append(wire, 28);
	put16(arp, 1);
	put16(arp + 2, ETH_P_IP);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, op);
	memcpy(arp + 8, ends->from, 6);
	memcpy(arp + 14, &sender->b[12], 4);
	if (op == 2)
		memcpy(arp + 18, ends->to, 6);
	memcpy(arp + 24, &target->b[12], 4);
}

void wire_nd(struct wire *wire, const struct wire_spec *ends, const struct wire_nd *nd)
{
	struct wire_spec spec = *ends;
	unsigned char *at;
	size_t begin;

	spec.proto = IPPROTO_ICMPV6;
	spec.ttl = 255;
	put_eth(wire, &spec, ETH_P_IPV6);
	put_ip6(wire, &spec);
	begin = wire->length;
	at = append(wire, ND_BYTES);
	at[0] = nd->type;
	put32(at + 4, nd->flags);
	memcpy(at + 8, &nd->target, 16);
	if (nd->option) {
		at = append(wire, 8);
		at[0] = nd->option;
		at[1] = 1;
		memcpy(at + 2, nd->mac, 6);
	}
	sum_transport(wire, &spec, begin);
	finish_ip(wire, &spec);
}

static void insert(struct wire *wire, size_t at, const void *bytes, size_t length)
{
	assert(wire->length + length <= WIRE_MAX);
	memmove(wire->data + at + length, wire->data + at, wire->length - at);
	memcpy(wire->data + at, bytes, length);
	wire->length += length;
}

void wire_options(struct wire *wire, const void *options, size_t length)
{
	unsigned char *ip = wire->data + WIRE_ETH;

	insert(wire, WIRE_ETH + IP4_BYTES, options, length);
	ip[0] = (unsigned char)(0x45 + length / 4);
	put16(ip + 2, (unsigned int)(wire->length - WIRE_ETH));
	wire_sum4(wire);
}

void wire_extension(struct wire *wire, unsigned char kind, const void *ext, size_t length)
{
	unsigned char *ip = wire->data + WIRE_ETH;

	insert(wire, WIRE_ETH + IP6_BYTES, ext, length);
	wire->data[WIRE_ETH + IP6_BYTES] = ip[6];
	ip[6] = kind;
	put16(ip + 4, (unsigned int)(wire->length - WIRE_ETH - IP6_BYTES));
}
