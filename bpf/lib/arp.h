/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ARP of pods (RFC 826): whatever address a pod asks for, the gateway 169.254.1.1 first of all,
 * lives behind the host's side of its veth. The question is turned into the answer in place.
 * A question for the pod's own address is its test for a double (RFC 5227), and stays without
 * answer, as do answers and announcements: neighbours of both sides are permanent.
 */
#ifndef MARGAY_LIB_ARP_H
#define MARGAY_LIB_ARP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"
#include "lib/endpoint.h"
#include "lib/packet.h"

#define ARP_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

/* linux/if_arp.h draws in headers of the C library */
struct arp_frame {
	__u8 h_dest[ETH_ALEN];
	__u8 h_source[ETH_ALEN];
	__be16 h_proto;
	__be16 hardware;
	__be16 protocol;
	__u8 mac_bytes;
	__u8 ip_bytes;
	__be16 op;
	__u8 sender_mac[ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[ETH_ALEN];
	__u8 target_ip[4];
} __attribute__((packed));

_Static_assert(sizeof(struct arp_frame) == 42, "arp_frame");

static __always_inline int arp_check(const struct arp_frame *arp)
{
	if (arp->hardware != bpf_htons(ARP_ETHERNET) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->mac_bytes != ETH_ALEN || arp->ip_bytes != 4)
		return -MG_DROP_MALFORMED;
	return 0;
}

static __always_inline void arp_turn(struct arp_frame *arp, const struct mg_ep *ep)
{
	__u8 asked[4];

	__builtin_memcpy(asked, arp->target_ip, sizeof(asked));
	arp->op = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, ETH_ALEN);
	__builtin_memcpy(arp->target_ip, arp->sender_ip, sizeof(asked));
	__builtin_memcpy(arp->sender_mac, ep->host_mac, ETH_ALEN);
	__builtin_memcpy(arp->sender_ip, asked, sizeof(asked));
	__builtin_memcpy(arp->h_dest, arp->h_source, ETH_ALEN);
	__builtin_memcpy(arp->h_source, ep->host_mac, ETH_ALEN);
}

/* Step: for a frame of type ARP from the pod. */
__weak __noinline int arp_answer(struct __sk_buff *skb, struct packet *pkt, struct mg_ep *ep)
{
	struct arp_frame *arp;
	union mg_addr asked;
	__be32 word;
	int r;

	if (!pkt || !ep)
		return -MG_DROP_INTERNAL;
	arp = (void *)pkt->bytes;
	if (bpf_skb_load_bytes(skb, 0, arp, sizeof(*arp)))
		return -MG_DROP_SHORT;
	r = arp_check(arp);
	if (r)
		return r;
	__builtin_memcpy(&word, arp->target_ip, sizeof(word));
	addr_set_v4(&asked, word);
	if (arp->op != bpf_htons(ARP_REQUEST) || addr_equal(&asked, &ep->ip4))
		return MG_FINAL_CONSUMED;
	arp_turn(arp, ep);
	return bpf_skb_store_bytes(skb, 0, arp, sizeof(*arp), 0) ? -MG_DROP_INTERNAL
								 : MG_FINAL_REPLY;
}

#endif
