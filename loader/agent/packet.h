/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame as a pod would send it, for `margayctl trace`: Ethernet, IPv4 or IPv6, and the first
 * packet of a new connection (TCP SYN, UDP, ICMP echo; other protocols: bare payload), or one of a
 * connection that is there already. Checksums
 * are right, TTL is 64. Byte order of what is given: ports host order.
 */
#ifndef MARGAY_AGENT_PACKET_H
#define MARGAY_AGENT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/addr.h"

#define PACKET_MAX 256

struct packet_spec {
	union mg_addr src;
	union mg_addr dst;
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	uint8_t proto;	/* IPPROTO_*; ICMP becomes ICMPv6 where addresses are IPv6 */
	uint16_t sport; /* ICMP: identifier */
	uint16_t dport;
	bool later; /* of a connection that is there: TCP's ACK for its SYN */
};

/* Returns the size; data has room for PACKET_MAX. */
size_t packet_build(const struct packet_spec *spec, uint8_t *data);

#endif
