/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for the product's object, small enough to see through: the same maps and program
 * names, so that load, pins, attachment and upgrade are tested apart from the packet path. Each
 * program counts its packets in mg_drops, row of its hook, and passes them on.
 *
 *	-DTINY_TAG=n	   counts in column n: two builds can be told apart
 *	-DTINY_BROKEN	   from_tunnel is refused by the verifier
 *	-DTINY_LONGER	   established flows have rows of 16 bytes more
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lib/config.h"
#include "maps/control.h"
#include "maps/drops.h"
#include "maps/events.h"
#include "maps/flow_t.h"
#include "maps/addrs.h"
#include "maps/ep.h"
#include "maps/nets.h"
#include "maps/pages.h"
#include "maps/scratch.h"
#include "maps/steps.h"

#ifdef TINY_LONGER
struct longer_flow {
	struct mg_flow flow;
	__u64 more[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256000);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct mg_flow_key);
	__type(value, struct longer_flow);
} mg_flow_e SEC(".maps");
#else
#include "maps/flow_e.h"
#endif

#ifndef TINY_TAG
#define TINY_TAG 1
#endif

static __always_inline void note(__u32 kind, __u32 a)
{
	__u32 zero = 0;
	struct mg_steps *steps = bpf_map_lookup_elem(&mg_steps, &zero);

	if (!mg_config.trace || !steps)
		return;
	steps->step[0].kind = kind;
	steps->step[0].a = a;
	steps->count = 1;
}

static __always_inline int count(struct __sk_buff *skb, __u32 hook)
{
	__u32 index = hook * MG_DROP_SLOTS + TINY_TAG, zero = 0;
	struct mg_drop_count *row = bpf_map_lookup_elem(&mg_drops, &index);
	struct mg_control *control = bpf_map_lookup_elem(&mg_control, &zero);
	struct mg_flow_key key = { .proto = 17, .port_a = hook };
	struct mg_flow *flow = bpf_map_lookup_elem(&mg_flow_e, &key);

	if (row) {
		row->packets++;
		row->bytes += skb->len;
	}
	if (flow)
		flow->packets++;
	note(MG_STEP_ENTRY, control ? control->commit : 0);
	bpf_map_lookup_elem(&mg_flow_t, &key);
	bpf_map_lookup_elem(&mg_addrs, &key.a);
	bpf_map_lookup_elem(&mg_ep, &zero);
	bpf_map_lookup_elem(&mg_pages, &zero);
	bpf_map_lookup_elem(&mg_scratch, &zero);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct mg_event *event = bpf_ringbuf_reserve(&mg_events, sizeof(*event), 0);

	if (event) {
		event->length = skb->len;
		event->hook = MG_HOOK_FROM_POD;
		bpf_ringbuf_submit(event, 0);
	}
	return count(skb, MG_HOOK_FROM_POD);
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	return count(skb, MG_HOOK_TO_POD);
}

SEC("tc")
int from_netdev(struct __sk_buff *skb)
{
	return count(skb, MG_HOOK_FROM_NETDEV);
}

SEC("tc")
int to_netdev(struct __sk_buff *skb)
{
	return count(skb, MG_HOOK_TO_NETDEV);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
#ifdef TINY_BROKEN
	return *(int *)(long)skb->len; /* a scalar is no pointer */
#else
	struct mg_prefix key = { .len = 128 };

	bpf_map_lookup_elem(&mg_nets, &key);
	return count(skb, MG_HOOK_FROM_TUNNEL);
#endif
}

#define SOCK(name, section)                                                                        \
	SEC("cgroup/" section)                                                                     \
	int name(struct bpf_sock_addr *ctx)                                                        \
	{                                                                                          \
		__u32 index = MG_HOOK_SOCK * MG_DROP_SLOTS + TINY_TAG;                             \
		struct mg_drop_count *row = bpf_map_lookup_elem(&mg_drops, &index);                \
                                                                                                   \
		(void)ctx;                                                                         \
		if (row)                                                                           \
			row->packets++;                                                            \
		return 1;                                                                          \
	}

SOCK(sock_connect4, "connect4")
SOCK(sock_connect6, "connect6")
SOCK(sock_sendmsg4, "sendmsg4")
SOCK(sock_sendmsg6, "sendmsg6")
SOCK(sock_recvmsg4, "recvmsg4")
SOCK(sock_recvmsg6, "recvmsg6")
SOCK(sock_peername4, "getpeername4")
SOCK(sock_peername6, "getpeername6")

char _license[] SEC("license") = "Dual BSD/GPL";
