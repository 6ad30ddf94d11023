// SPDX-License-Identifier: Apache-2.0
/*
 * The floor of what a program between two pods of a node can cost: nothing but the hand-over.
 * The host-side devices have the indexes 101 and 102.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(skb->ifindex ^ 101 ^ 102, 0);
}

char _license[] SEC("license") = "GPL";
