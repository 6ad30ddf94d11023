/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a pod may put on its wire at all, before any policy: nothing in another's name, nothing
 * that only routers and servers of the network say, nothing encapsulated.
 */
#ifndef MARGAY_LIB_GUARD_H
#define MARGAY_LIB_GUARD_H

#include <linux/in.h>
#include <linux/in6.h>

#include "lib/endpoint.h"
#include "lib/icmp_types.h"
#include "lib/nd.h"
#include "lib/packet.h"

#define PROTO_IGMP 2
#define DHCP_SERVER 67
#define DHCP_CLIENT 68
#define DHCP6_SERVER 547
#define DHCP6_CLIENT 546

/* The source: its own, or on the link a link-local one or none yet. */
static __always_inline int guard_link_source(const struct packet *pkt, const struct mg_ep *ep)
{
	if (addr_is_link_local(&pkt->src) || addr_is_zero(&pkt->src) || endpoint_has(ep, &pkt->src))
		return 0;
	return -MG_DROP_SPOOFED;
}

static __always_inline bool is_link_message(const struct packet *pkt)
{
	return pkt->proto == IPPROTO_ICMPV6 && !(pkt->flags & PKT_LATER_FRAGMENT) &&
	       ((pkt->icmp_type >= ICMP6_MLD_QUERY && pkt->icmp_type <= ICMP6_REDIRECT) ||
		pkt->icmp_type == ICMP6_MLD2_REPORT);
}

static __always_inline bool is_dhcp_answer(const struct packet *pkt)
{
	if (pkt->proto != IPPROTO_UDP)
		return false;
	if (pkt->family == 4)
		return pkt->sport == bpf_htons(DHCP_SERVER) && pkt->dport == bpf_htons(DHCP_CLIENT);
	return pkt->sport == bpf_htons(DHCP6_SERVER) && pkt->dport == bpf_htons(DHCP6_CLIENT);
}

static __always_inline int guard_content(const struct packet *pkt, const struct mg_local *local)
{
	if ((pkt->proto == IPPROTO_IPIP || pkt->proto == IPPROTO_IPV6) &&
	    !(local->flags & MG_LOCAL_POD_IPIP))
		return -MG_DROP_POD_ENCAP;
	if (pkt->proto == IPPROTO_UDP && pkt->dport == local->vxlan_port && pkt->dport &&
	    !(local->flags & MG_LOCAL_POD_VXLAN))
		return -MG_DROP_POD_ENCAP;
	if (pkt->proto == IPPROTO_ICMP && pkt->family == 4 &&
	    (pkt->icmp_type == ICMP4_REDIRECT || pkt->icmp_type == ICMP4_ROUTER))
		return -MG_DROP_POD_CONTROL;
	return is_dhcp_answer(pkt) ? -MG_DROP_POD_CONTROL : 0;
}

static __always_inline int guard_routed(const struct packet *pkt, const struct mg_ep *ep,
					const struct mg_local *local)
{
	int r = check_source(pkt, ep, local);

	if (!r)
		r = guard_content(pkt, local);
	if (r)
		return r;
	if (pkt->flags & PKT_MULTICAST) /* memberships end here, and nothing else goes there */
		return pkt->proto == PROTO_IGMP && pkt->family == 4 ? MG_FINAL_CONSUMED
								    : -MG_DROP_NO_ROUTE;
	return 0;
}

__weak __noinline int guard_link(struct __sk_buff *skb, struct packet *pkt, struct mg_ep *ep)
{
	int r;

	if (!pkt || !ep)
		return -MG_DROP_INTERNAL;
	r = guard_link_source(pkt, ep);
	return r ? r : nd_link(skb, pkt, ep);
}

/* Step of from_pod, after parse. */
static __always_inline int guard(struct __sk_buff *skb, struct packet *pkt, struct mg_ep *ep,
				 const struct mg_local *local)
{
	if (pkt->family == 6 && is_link_message(pkt))
		return guard_link(skb, pkt, ep);
	return guard_routed(pkt, ep, local);
}

#endif
