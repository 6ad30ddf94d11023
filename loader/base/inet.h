/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and arithmetic of addresses and prefixes (abi/addr.h: 16 bytes, IPv4 v4-mapped,
 * prefix lengths counted in 128 bits).
 */
#ifndef MARGAY_BASE_INET_H
#define MARGAY_BASE_INET_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/addr.h"

#define ADDR_TEXT_MAX 46 /* INET6_ADDRSTRLEN */
#define PREFIX_TEXT_MAX 50

bool addr_is4(const union mg_addr *addr);
bool addr_is_zero(const union mg_addr *addr); /* :: (and only that) */
/* No host's address beyond its own link: unspecified, loopback, link-local, and link-local
 * multicast (what Kubernetes refuses as external address and endpoint). */
bool addr_is_special(const union mg_addr *addr);
int addr_cmp(const union mg_addr *a, const union mg_addr *b);
union mg_addr addr_from4(__be32 v4);

/* "10.0.0.1" or "fd00::1"; IPv4 is stored v4-mapped. -EINVAL: neither. */
int addr_parse(const char *text, union mg_addr *ret_addr);

/* text has room for ADDR_TEXT_MAX; returns text. A v4-mapped address prints as IPv4. */
const char *addr_format(const union mg_addr *addr, char *text);

/* "10.0.0.0/8", "fd00::/8"; a bare address is a host prefix where host_ok. Host bits are
 * kept in the address as given: prefix_mask() clears them. -EINVAL: not a prefix. */
int prefix_parse(const char *text, bool host_ok, struct mg_prefix *ret_prefix);
const char *prefix_format(const struct mg_prefix *prefix, char *text); /* PREFIX_TEXT_MAX */
void prefix_mask(struct mg_prefix *prefix);
bool prefix_is_masked(const struct mg_prefix *prefix);
bool prefix_is4(const struct mg_prefix *prefix); /* lies in ::ffff:0:0/96 */
bool prefix_contains(const struct mg_prefix *prefix, const union mg_addr *addr);
bool prefix_overlaps(const struct mg_prefix *a, const struct mg_prefix *b);
unsigned int prefix_bits(const struct mg_prefix *prefix); /* as written: 0-32 or 0-128 */

/* Of IPPROTO_TCP, UDP and SCTP: "TCP", "UDP", "SCTP", as Kubernetes' API writes them; and back from
 * "tcp", "udp", "sctp", as CNI does. What is none of them counts as TCP. */
const char *transport_name(__u8 proto);
__u8 transport_of(const char *text);

/* addr + n; wraps. */
union mg_addr addr_add(const union mg_addr *addr, __u64 n);

#endif
