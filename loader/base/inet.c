/* SPDX-License-Identifier: Apache-2.0 */
#include "base/inet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool addr_is4(const union mg_addr *addr)
{
	return !addr->d[0] && !addr->h[4] && addr->h[5] == 0xffff;
}

bool addr_is_zero(const union mg_addr *addr)
{
	return !addr->d[0] && !addr->d[1];
}

bool addr_is_special(const union mg_addr *addr)
{
	const uint8_t *v4 = &addr->b[12];

	if (addr_is4(addr))
		return !addr->w[3] || v4[0] == 127 || (v4[0] == 169 && v4[1] == 254) ||
		       (v4[0] == 224 && !v4[1] && !v4[2]);
	if (!addr->d[0] && !addr->w[2])
		return !addr->h[6] && !addr->b[14] && addr->b[15] <= 1;
	return (addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80) ||
	       (addr->b[0] == 0xff && (addr->b[1] & 0x0f) == 2);
}

int addr_cmp(const union mg_addr *a, const union mg_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

union mg_addr addr_from4(__be32 v4)
{
	union mg_addr addr = { .h = { [5] = 0xffff } };

	addr.w[3] = v4;
	return addr;
}

int addr_parse(const char *text, union mg_addr *ret_addr)
{
	union mg_addr addr;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		memset(&addr, 0, sizeof(addr));
		addr.h[5] = 0xffff;
		addr.w[3] = v4.s_addr;
	} else if (inet_pton(AF_INET6, text, addr.b) != 1) {
		return -EINVAL;
	}
	*ret_addr = addr;
	return 0;
}

const char *addr_format(const union mg_addr *addr, char *text)
{
	if (addr_is4(addr))
		inet_ntop(AF_INET, &addr->w[3], text, ADDR_TEXT_MAX);
	else
		inet_ntop(AF_INET6, addr->b, text, ADDR_TEXT_MAX);
	return text;
}

static int parse_bits(const char *text, unsigned int max, unsigned int *ret_bits)
{
	unsigned int bits = 0;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		bits = bits * 10 + (unsigned int)(*text - '0');
	}
	if (bits > max)
		return -EINVAL;
	*ret_bits = bits;
	return 0;
}

int prefix_parse(const char *text, bool host_ok, struct mg_prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int max, bits;
	char host[ADDR_TEXT_MAX];
	union mg_addr addr;

	if (length >= sizeof(host) || (!slash && !host_ok))
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = 0;
	if (addr_parse(host, &addr) < 0)
		return -EINVAL;
	max = strchr(host, ':') ? MG_ADDR_BITS : MG_ADDR_BITS - MG_V4_PREFIX_BITS;
	bits = max;
	if (slash && parse_bits(slash + 1, max, &bits) < 0)
		return -EINVAL;
	ret_prefix->len = bits + MG_ADDR_BITS - max;
	ret_prefix->addr = addr;
	return 0;
}

bool prefix_is4(const struct mg_prefix *prefix)
{
	union mg_addr addr = prefix->addr;

	return prefix->len >= MG_V4_PREFIX_BITS && addr_is4(&addr);
}

unsigned int prefix_bits(const struct mg_prefix *prefix)
{
	return prefix->len - (prefix_is4(prefix) ? MG_V4_PREFIX_BITS : 0);
}

const char *prefix_format(const struct mg_prefix *prefix, char *text)
{
	union mg_addr addr = prefix->addr;
	char host[ADDR_TEXT_MAX];

	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", addr_format(&addr, host), prefix_bits(prefix));
	return text;
}

void prefix_mask(struct mg_prefix *prefix)
{
	for (unsigned int i = 0; i < sizeof(prefix->addr.b); i++) {
		unsigned int left = prefix->len > i * 8 ? prefix->len - i * 8 : 0;

		if (left < 8)
			prefix->addr.b[i] &= (__u8)(0xff00U >> left);
	}
}

bool prefix_is_masked(const struct mg_prefix *prefix)
{
	struct mg_prefix masked = *prefix;

	prefix_mask(&masked);
	return !memcmp(&masked, prefix, sizeof(masked));
}

bool prefix_contains(const struct mg_prefix *prefix, const union mg_addr *addr)
{
	struct mg_prefix a = { .len = prefix->len, .addr = *addr }, p = *prefix;

	prefix_mask(&a);
	prefix_mask(&p);
	return !memcmp(&a, &p, sizeof(a));
}

bool prefix_overlaps(const struct mg_prefix *a, const struct mg_prefix *b)
{
	union mg_addr addr = a->len > b->len ? a->addr : b->addr;

	return prefix_contains(a->len > b->len ? b : a, &addr);
}

union mg_addr addr_add(const union mg_addr *addr, __u64 n)
{
	union mg_addr sum = *addr;
	__u64 carry = n;

	for (int i = 15; i >= 0 && carry; i--) {
		carry += sum.b[i];
		sum.b[i] = (__u8)carry;
		carry >>= 8;
	}
	return sum;
}

const char *transport_name(__u8 proto)
{
	return proto == IPPROTO_UDP ? "UDP" : proto == IPPROTO_SCTP ? "SCTP" : "TCP";
}

__u8 transport_of(const char *text)
{
	return !strcmp(text, "udp")    ? IPPROTO_UDP
	       : !strcmp(text, "sctp") ? IPPROTO_SCTP
				       : IPPROTO_TCP;
}
