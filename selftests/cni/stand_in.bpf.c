/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the product's names and maps that let everything pass: what the plugin attaches is
 * tested without what the real ones decide. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "maps/drops.h"
#include "maps/ep.h"
#include "maps/ep_if.h"
#include "maps/backs.h"
#include "maps/fronts.h"

static __always_inline int pass(void)
{
	__u32 key = 0;

	/* The map by which a program is known as one of ours. */
	bpf_map_lookup_elem(&mg_drops, &key);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	(void)skb;
	return pass();
}

SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	(void)skb;
	return pass();
}

/* Somebody else's. */
SEC("tc")
int stranger(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
