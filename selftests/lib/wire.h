/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets as bytes, made from a short description: Ethernet, IPv4 or IPv6, TCP, UDP, SCTP, ICMP,
 * ARP and neighbour discovery, with right lengths and checksums. Describing a packet twice, once
 * as sent and once as expected, is how a test says what a program must have changed.
 */
#ifndef MARGAY_SELFTESTS_LIB_WIRE_H
#define MARGAY_SELFTESTS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "abi/addr.h"

#define WIRE_MAX 4096
#define WIRE_ETH 14

#define WIRE_FIN 1
#define WIRE_SYN 2
#define WIRE_RST 4
#define WIRE_ACK 16

struct wire {
	size_t length;
	unsigned char data[WIRE_MAX];
};

/* Zero is a sensible default for every member but addresses and proto. */
struct wire_spec {
	union mg_addr src; /* the family is dst's */
	union mg_addr dst;
	unsigned char proto; /* IPPROTO_*; ICMP and ICMPv6 are exchanged to fit the family */
	unsigned short sport;
	unsigned short dport;
	unsigned char tcp_flags;
	unsigned int seq; /* of TCP */
	unsigned int ack;
	bool no_window; /* else 65535 */
	unsigned char icmp_type;
	unsigned char icmp_code;
	unsigned short icmp_id;
	unsigned char ttl; /* 0: 64 */
	unsigned char tos;
	unsigned short payload;	  /* bytes behind the transport header, of a fixed pattern */
	const struct wire *quote; /* of an ICMP error: the packet it speaks of */
	/* fragments: offset in units of 8 bytes; what is not the first has payload only */
	unsigned short fragment;
	bool more_fragments;
	unsigned int fragment_id;
	bool dont_fragment;
	unsigned char to[6];
	unsigned char from[6];
};

void wire_make(struct wire *wire, const struct wire_spec *spec);

/* An ARP packet; op 1 asks, 2 answers. */
void wire_arp(struct wire *wire, unsigned short op, const struct wire_spec *ends,
	      const union mg_addr *sender, const union mg_addr *target);

/* A neighbour solicitation (type 135) or advertisement (136) with flags (host order) and, where
 * mac is not NULL, a link-layer address option of that type. */
struct wire_nd {
	unsigned char type;
	unsigned int flags;
	union mg_addr target;
	unsigned char option; /* 1 source, 2 target; 0: none */
	unsigned char mac[6];
};
void wire_nd(struct wire *wire, const struct wire_spec *ends, const struct wire_nd *nd);

/* IPv4: options behind the header (a multiple of 4), lengths and checksum made right again. */
void wire_options(struct wire *wire, const void *options, size_t length);
/* IPv6: an extension header between the network header and what follows it; the first byte of
 * ext is set. kind: its own number. */
void wire_extension(struct wire *wire, unsigned char kind, const void *ext, size_t length);

/* IPv4: the header's checksum made right again after a change. */
void wire_sum4(struct wire *wire);

#endif
