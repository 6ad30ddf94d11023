/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kinds of ICMP (RFC 792, 950) and ICMPv6 (RFC 4443, 4861, 3810) messages that matter here.
 */
#ifndef MARGAY_LIB_ICMP_TYPES_H
#define MARGAY_LIB_ICMP_TYPES_H

#include <stdbool.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_QUENCH = 4,
	ICMP4_REDIRECT = 5,
	ICMP4_ECHO = 8,
	ICMP4_ROUTER = 9,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_PARAMETER = 12,
	ICMP4_TIMESTAMP = 13,
	ICMP4_MASK_REPLY = 18,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_PARAMETER = 4,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_MLD_QUERY = 130,
	ICMP6_MLD_DONE = 132,
	ICMP6_ROUTER_SOLICIT = 133,
	ICMP6_ROUTER = 134,
	ICMP6_SOLICIT = 135,
	ICMP6_ADVERT = 136,
	ICMP6_REDIRECT = 137,
	ICMP6_MLD2_REPORT = 143,
};

#define ICMP4_CODE_PORT 3
#define ICMP6_CODE_PORT 4

struct icmp_start {
	__u8 type;
	__u8 code;
	__be16 check;
	__be16 id; /* of queries */
	__be16 rest;
};

/* A question or an answer with an identifier. */
static __always_inline bool icmp_is_query(__u8 family, __u8 type)
{
	if (family == 6)
		return type == ICMP6_ECHO || type == ICMP6_ECHO_REPLY;
	return type == ICMP4_ECHO || type == ICMP4_ECHO_REPLY ||
	       (type >= ICMP4_TIMESTAMP && type <= ICMP4_MASK_REPLY);
}

/* Speaks of another packet, whose beginning it carries. */
static __always_inline bool icmp_is_error(__u8 family, __u8 type)
{
	if (family == 6)
		return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER;
	return type == ICMP4_UNREACHABLE || type == ICMP4_QUENCH || type == ICMP4_TIME_EXCEEDED ||
	       type == ICMP4_PARAMETER;
}

/* The question's type, of a question or its answer: what policy speaks of. */
static __always_inline __u8 icmp_question(__u8 family, __u8 type)
{
	if (family == 6)
		return type == ICMP6_ECHO_REPLY ? ICMP6_ECHO : type;
	if (type == ICMP4_ECHO_REPLY)
		return ICMP4_ECHO;
	if (type > ICMP4_TIMESTAMP && type <= ICMP4_MASK_REPLY)
		return type - !(type & 1);
	return type;
}

#endif
