/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet as the kernel holds it, for programs at tracepoints. The structures are the parts of the
 * kernel's own that are read here; libbpf moves the offsets to where this kernel has them (CO-RE).
 * Only an object opened with the kernel's types can load such a program.
 */
#ifndef MARGAY_LIB_KERNEL_SKB_H
#define MARGAY_LIB_KERNEL_SKB_H

#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi/kdrop.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	__u64 net_cookie;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sock_common {
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned int len;
	__u32 mark;
	__be16 protocol;
	__u16 network_header;
	unsigned int tail;
	unsigned char *head;
	unsigned char *data;
};

#pragma clang attribute pop

/* The packet's namespace: its device's, else its socket's. A packet that a socket queues has
 * another thing in the device's place; what is read from there then is no cookie of ours. */
static __always_inline __u64 skb_cookie(const struct sk_buff *skb, __u32 *ret_ifindex)
{
	const struct net_device *dev = BPF_CORE_READ(skb, dev);
	const struct net *net = BPF_CORE_READ(dev, nd_net.net);

	*ret_ifindex = 0;
	if (net)
		*ret_ifindex = BPF_CORE_READ(dev, ifindex);
	else
		net = BPF_CORE_READ(skb, sk, __sk_common.skc_net.net);
	return BPF_CORE_READ(net, net_cookie);
}

/* The part of the packet that lies in its first buffer. */
static __always_inline void skb_capture(const struct sk_buff *skb, struct mg_kdrop *drop)
{
	__u32 network = BPF_CORE_READ(skb, network_header), tail = BPF_CORE_READ(skb, tail);
	const __u8 *start = BPF_CORE_READ(skb, head) + network;
	__u32 size = tail - network;

	drop->captured = 0;
	drop->length = BPF_CORE_READ(skb, len) + (__u32)(BPF_CORE_READ(skb, data) - start);
	drop->protocol = BPF_CORE_READ(skb, protocol);
	if (network >= tail)
		return;
	if (size > MG_KDROP_BYTES)
		size = MG_KDROP_BYTES;
	if (!bpf_probe_read_kernel(drop->data, size, start))
		drop->captured = size;
}

#endif
