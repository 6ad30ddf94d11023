/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "base/inet.h"

#define PAYLOAD 16
#define TTL 64

/* RFC 1071. */
static uint32_t sum(const void *data, size_t size, uint32_t start)
{
	const uint8_t *p = data;

	for (; size > 1; size -= 2, p += 2)
		start += (uint32_t)(p[0] << 8 | p[1]);
	return size ? start + (uint32_t)(p[0] << 8) : start;
}

static uint16_t fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return htons((uint16_t)~value);
}

static uint32_t pseudo(const struct packet_spec *spec, uint8_t proto, size_t size)
{
	bool v4 = addr_is4(&spec->src);
	uint32_t value = proto + (uint32_t)size;

	value = sum(v4 ? &spec->src.b[12] : spec->src.b, v4 ? 4 : 16, value);
	return sum(v4 ? &spec->dst.b[12] : spec->dst.b, v4 ? 4 : 16, value);
}

static size_t put_tcp(const struct packet_spec *spec, uint8_t *out)
{
	struct tcphdr head = { .source = htons(spec->sport),
			       .dest = htons(spec->dport),
			       .seq = htonl(1),
			       .doff = 5,
			       .syn = !spec->later,
			       .ack = spec->later,
			       .ack_seq = htonl(spec->later),
			       .window = htons(65535) };

	head.check = fold(sum(&head, sizeof(head), pseudo(spec, IPPROTO_TCP, sizeof(head))));
	memcpy(out, &head, sizeof(head));
	return sizeof(head);
}

static size_t put_udp(const struct packet_spec *spec, uint8_t *out)
{
	struct udphdr head = { .source = htons(spec->sport),
			       .dest = htons(spec->dport),
			       .len = htons(sizeof(head) + PAYLOAD) };
	size_t size = sizeof(head) + PAYLOAD;

	memset(out, 0, size);
	memcpy(out, &head, sizeof(head));
	head.check = fold(sum(out, size, pseudo(spec, IPPROTO_UDP, size)));
	memcpy(out, &head, sizeof(head));
	return size;
}

static size_t put_icmp(const struct packet_spec *spec, uint8_t *out)
{
	bool v4 = addr_is4(&spec->src);
	struct icmphdr head = { .type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
				.un.echo = { .id = htons(spec->sport), .sequence = htons(1) } };
	size_t size = sizeof(head) + PAYLOAD;

	memset(out, 0, size);
	memcpy(out, &head, sizeof(head));
	head.checksum = fold(sum(out, size, v4 ? 0 : pseudo(spec, IPPROTO_ICMPV6, size)));
	memcpy(out, &head, sizeof(head));
	return size;
}

static size_t put_transport(const struct packet_spec *spec, uint8_t *out)
{
	switch (spec->proto) {
	case IPPROTO_TCP:
		return put_tcp(spec, out);
	case IPPROTO_UDP:
		return put_udp(spec, out);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return put_icmp(spec, out);
	default:
		memset(out, 0, PAYLOAD);
		/* SCTP's ports stand where UDP's do; nothing here reads its checksum. */
		if (spec->proto == IPPROTO_SCTP)
			memcpy(out, &(uint16_t[2]){ htons(spec->sport), htons(spec->dport) }, 4);
		return PAYLOAD;
	}
}

static size_t put_v4(const struct packet_spec *spec, uint8_t *out)
{
	size_t size = put_transport(spec, out + sizeof(struct iphdr));
	struct iphdr head = { .version = 4,
			      .ihl = 5,
			      .tot_len = htons((uint16_t)(sizeof(head) + size)),
			      .frag_off = htons(IP_DF),
			      .ttl = TTL,
			      .protocol = spec->proto,
			      .saddr = spec->src.w[3],
			      .daddr = spec->dst.w[3] };

	if (head.protocol == IPPROTO_ICMPV6)
		head.protocol = IPPROTO_ICMP;
	head.check = fold(sum(&head, sizeof(head), 0));
	memcpy(out, &head, sizeof(head));
	return sizeof(head) + size;
}

static size_t put_v6(const struct packet_spec *spec, uint8_t *out)
{
	size_t size = put_transport(spec, out + sizeof(struct ip6_hdr));
	struct ip6_hdr head = { .ip6_flow = htonl(6U << 28),
				.ip6_plen = htons((uint16_t)size),
				.ip6_nxt = spec->proto,
				.ip6_hlim = TTL };

	if (head.ip6_nxt == IPPROTO_ICMP)
		head.ip6_nxt = IPPROTO_ICMPV6;
	memcpy(&head.ip6_src, spec->src.b, sizeof(head.ip6_src));
	memcpy(&head.ip6_dst, spec->dst.b, sizeof(head.ip6_dst));
	memcpy(out, &head, sizeof(head));
	return sizeof(head) + size;
}

size_t packet_build(const struct packet_spec *spec, uint8_t *data)
{
	struct ethhdr ethernet;
	bool v4 = addr_is4(&spec->src);

	memcpy(ethernet.h_dest, spec->dst_mac, sizeof(ethernet.h_dest));
	memcpy(ethernet.h_source, spec->src_mac, sizeof(ethernet.h_source));
	ethernet.h_proto = htons(v4 ? ETH_P_IP : ETH_P_IPV6);
	memcpy(data, &ethernet, sizeof(ethernet));
	return sizeof(ethernet) +
	       (v4 ? put_v4(spec, data + sizeof(ethernet)) : put_v6(spec, data + sizeof(ethernet)));
}
