// SPDX-License-Identifier: Apache-2.0
/*
 * The floors of what programs between two pods can cost: nothing but the hand-over, on one node
 * ("tc") and by IP-in-IP between two ("tc/out" on the pod's device, "tc/in" on the uplink). No
 * table, no policy, no flow.
 *
 * Devices by index: pods 101 and 102, uplinks 201 and 202 of nodes 10.96.0.1 and 10.96.0.2.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NODES bpf_htonl(0x0a600000)
#define FAMILY_INET 2

SEC("tc")
int peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(skb->ifindex ^ 101 ^ 102, 0);
}

static __always_inline __u16 header_sum(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16) ~(sum + (sum >> 16));
}

SEC("tc/out")
int ipip_out(struct __sk_buff *skb)
{
	__u32 node = skb->ifindex - 100;
	struct bpf_redir_neigh hop = { .nh_family = FAMILY_INET,
				       .ipv4_nh = NODES | bpf_htonl(3 - node) };
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .ttl = 64,
			    .protocol = IPPROTO_IPIP,
			    .frag_off = bpf_htons(0x4000),
			    .saddr = NODES | bpf_htonl(node),
			    .daddr = NODES | bpf_htonl(3 - node) };

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	if (bpf_skb_adjust_room(skb, sizeof(ip), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	ip.tot_len = bpf_htons(skb->len - ETH_HLEN);
	ip.check = header_sum(&ip);
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(200 + node, &hop, sizeof(hop), 0);
}

SEC("tc/in")
int ipip_in(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;

	if (skb->protocol != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end ||
	    ip->protocol != IPPROTO_IPIP)
		return TC_ACT_OK;
	if (bpf_skb_adjust_room(skb, -(__s32)sizeof(*ip), BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(skb->ifindex - 100, 0);
}

char _license[] SEC("license") = "GPL";
