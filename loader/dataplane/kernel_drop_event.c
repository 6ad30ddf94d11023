/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses and ports of a packet that the kernel dropped, from its first bytes (RFC 791, 8200).
 * Nothing is believed: what does not stand in the bytes stays 0.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/inet.h"
#include "dataplane/kernel_drops.h"

#define EXTENSIONS_MAX 8

struct bytes {
	const __u8 *data;
	size_t size;
};

static const void *at(const struct bytes *bytes, size_t offset, size_t size)
{
	return offset + size <= bytes->size ? bytes->data + offset : NULL;
}

/* An echo has its id for both ports, as in the records of our programs. */
static void take_echo(const struct bytes *bytes, size_t offset, struct mg_event *event)
{
	const __u8 *icmp = at(bytes, offset, 8);
	bool v6 = event->proto == IPPROTO_ICMPV6;

	if (!icmp || (v6 ? icmp[0] != ICMP6_ECHO_REQUEST && icmp[0] != ICMP6_ECHO_REPLY
			 : icmp[0] != ICMP_ECHO && icmp[0] != ICMP_ECHOREPLY))
		return;
	memcpy(&event->sport, icmp + 4, sizeof(event->sport));
	event->dport = event->sport;
}

/* TCP, UDP and SCTP begin with them. */
static void take_ports(const struct bytes *bytes, size_t offset, struct mg_event *event)
{
	const __u8 *ports = at(bytes, offset, 4);

	if (event->proto == IPPROTO_ICMP || event->proto == IPPROTO_ICMPV6) {
		take_echo(bytes, offset, event);
	} else if (ports && (event->proto == IPPROTO_TCP || event->proto == IPPROTO_UDP ||
			     event->proto == IPPROTO_SCTP)) {
		memcpy(&event->sport, ports, sizeof(event->sport));
		memcpy(&event->dport, ports + 2, sizeof(event->dport));
	}
}

static void take_v4(const struct bytes *bytes, struct mg_event *event)
{
	const struct iphdr *ip = at(bytes, 0, sizeof(*ip));

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return;
	event->family = 4;
	event->proto = ip->protocol;
	event->src = addr_from4(ip->saddr);
	event->dst = addr_from4(ip->daddr);
	if (!(ntohs(ip->frag_off) & IP_OFFMASK))
		take_ports(bytes, ip->ihl * 4U, event);
}

/* Of extension headers all but the fragment's have their length in the second byte. */
static void take_v6(const struct bytes *bytes, struct mg_event *event)
{
	const struct ip6_hdr *ip = at(bytes, 0, sizeof(*ip));
	size_t offset = sizeof(*ip);

	if (!ip || (ip->ip6_vfc >> 4) != 6)
		return;
	event->family = 6;
	event->proto = ip->ip6_nxt;
	memcpy(&event->src, &ip->ip6_src, sizeof(event->src));
	memcpy(&event->dst, &ip->ip6_dst, sizeof(event->dst));
	for (unsigned int i = 0; i < EXTENSIONS_MAX; i++) {
		const __u8 *next = at(bytes, offset, 8);

		switch (event->proto) {
		case IPPROTO_FRAGMENT:
			if (!next || ((next[2] << 8 | next[3]) & ~7))
				return;
			offset += 8;
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			if (!next)
				return;
			offset += (next[1] + 1U) * 8;
			break;
		default:
			take_ports(bytes, offset, event);
			return;
		}
		event->proto = next[0];
	}
}

void dp_kernel_drop_event(const struct mg_kdrop *drop, struct mg_event *ret_event)
{
	struct bytes bytes = { drop->data, drop->captured };

	if (bytes.size > MG_KDROP_BYTES)
		bytes.size = MG_KDROP_BYTES;
	memset(ret_event, 0, sizeof(*ret_event));
	ret_event->time = drop->time;
	ret_event->kind = MG_EVENT_DROP;
	ret_event->ifindex = drop->ifindex;
	ret_event->length = drop->length;
	ret_event->captured = (__u16)bytes.size;
	memcpy(ret_event->data, bytes.data, bytes.size);
	if (drop->protocol == htons(ETH_P_IP))
		take_v4(&bytes, ret_event);
	else if (drop->protocol == htons(ETH_P_IPV6))
		take_v6(&bytes, ret_event);
}
