/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ports and types of the transport header (RFC 9293, 768, 9260, 792, 4443).
 */
#ifndef MARGAY_LIB_PARSE_TRANSPORT_H
#define MARGAY_LIB_PARSE_TRANSPORT_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/cursor.h"
#include "lib/icmp_types.h"
#include "lib/packet.h"

#define SCTP_HEADER_BYTES 12

/* Where the packet ends by its network header: what lies behind in the frame is padding. */
static __always_inline __u32 packet_end(const struct packet *pkt)
{
	return (__u32)pkt->l3_offset + pkt->l3_length;
}

static __always_inline void *transport_at(const struct frame *frame, const struct packet *pkt,
					  __u32 size)
{
	__u32 offset = recall(&pkt->l4_offset);

	return offset + size > packet_end(pkt) ? NULL : bytes_at(frame, offset, size);
}

static __always_inline int parse_tcp(const struct frame *frame, struct packet *pkt)
{
	struct tcphdr *tcp = transport_at(frame, pkt, sizeof(*tcp));

	if (!tcp)
		return -MG_DROP_SHORT;
	pkt->sport = tcp->source;
	pkt->dport = tcp->dest;
	pkt->tcp_flags = ((__u8 *)tcp)[13];
	if (tcp->doff < 5 || (tcp->syn && (tcp->fin || tcp->rst)))
		return -MG_DROP_MALFORMED;
	return 0;
}

static __always_inline int parse_udp(const struct frame *frame, struct packet *pkt)
{
	struct udphdr *udp = transport_at(frame, pkt, sizeof(*udp));

	if (!udp)
		return -MG_DROP_SHORT;
	pkt->sport = udp->source;
	pkt->dport = udp->dest;
	/* 0 is a jumbogram's (RFC 2675) */
	if (udp->len && bpf_ntohs(udp->len) < sizeof(*udp))
		return -MG_DROP_MALFORMED;
	return 0;
}

static __always_inline int parse_sctp(const struct frame *frame, struct packet *pkt)
{
	__be16 *ports = transport_at(frame, pkt, SCTP_HEADER_BYTES);

	if (!ports)
		return -MG_DROP_SHORT;
	pkt->sport = ports[0];
	pkt->dport = ports[1];
	return 0;
}

static __always_inline int parse_icmp(const struct frame *frame, struct packet *pkt)
{
	struct icmp_start *icmp = transport_at(frame, pkt, sizeof(*icmp));

	if (!icmp)
		return -MG_DROP_SHORT;
	pkt->icmp_type = icmp->type;
	pkt->icmp_code = icmp->code;
	if (icmp_is_query(pkt->family, icmp->type)) {
		pkt->flags |= PKT_ICMP_QUERY;
		pkt->sport = icmp->id;
		pkt->dport = icmp->id;
	} else if (icmp_is_error(pkt->family, icmp->type)) {
		pkt->flags |= PKT_ICMP_ERROR; /* inner_* by parse_inner() */
	}
	return 0;
}

/* pkt->l4_offset: where the headers before it end */
static __always_inline int parse_transport(const struct frame *frame, struct packet *pkt)
{
	pkt->sport = 0;
	pkt->dport = 0;
	pkt->tcp_flags = 0;
	pkt->icmp_type = 0;
	pkt->icmp_code = 0;
	if (pkt->l4_offset > packet_end(pkt))
		return -MG_DROP_MALFORMED;
	if (pkt->flags & PKT_LATER_FRAGMENT) {
		pkt->l4_offset = 0;
		return 0;
	}
	if (pkt->proto == IPPROTO_TCP)
		return parse_tcp(frame, pkt);
	if (pkt->proto == IPPROTO_UDP)
		return parse_udp(frame, pkt);
	if (pkt->proto == IPPROTO_SCTP)
		return parse_sctp(frame, pkt);
	if (pkt->proto == (pkt->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(frame, pkt);
	return 0;
}

#endif
