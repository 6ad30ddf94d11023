// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the kernel drops of this node's packets before, behind or beside our programs: at the
 * tracepoint skb:kfree_skb, loaded only while somebody watches. Told are packets in namespaces of
 * this node's pods, and on the node itself those at uplinks, pods' interfaces and the idle VXLAN
 * device. What our own programs drop has been told by them; finish_skb() left our mark on it.
 *
 * Since 6.11 the tracepoint has a fourth argument, the receiving socket, which is not looked at.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "abi/kdrop.h"
#include "lib/config.h"
#include "lib/endpoint.h"
#include "lib/kernel_skb.h"
#include "lib/node.h"
#include "maps/kdrop_count.h"
#include "maps/kdrops.h"
#include "maps/uplinks.h"
#include "maps/watched.h"

#define WINDOW_SHIFT 27 /* of ns: 134 ms */
#define WINDOW_DROPS 128

enum skb_drop_reason {
	SKB_DROP_REASON_TC_INGRESS = 1,
	SKB_DROP_REASON_TC_EGRESS = 2,
};

/* One of this node's programs returned the drop, and has told it. */
static __always_inline bool is_told(const struct sk_buff *skb, __u32 reason)
{
	if (!(BPF_CORE_READ(skb, mark) & mg_config.mark))
		return false;
	return reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_TC_INGRESS) ||
	       reason == bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_TC_EGRESS);
}

/* On the node itself only what carries pods' packets counts. */
static __always_inline bool is_ours(__u32 ifindex)
{
	const struct mg_local *local = local_row();

	return bpf_map_lookup_elem(&mg_uplinks, &ifindex) || endpoint_by_ifindex(ifindex) ||
	       (local && ifindex && ifindex == local->vxlan_ifindex);
}

static __always_inline struct mg_kdrop *reserve(struct mg_kdrop_count *count, __u64 now)
{
	struct mg_kdrop *drop = NULL;

	if (count->window != now >> WINDOW_SHIFT) {
		count->window = now >> WINDOW_SHIFT;
		count->told = 0;
	}
	if (count->told < WINDOW_DROPS)
		drop = bpf_ringbuf_reserve(&mg_kdrops, sizeof(*drop), 0);
	if (drop)
		count->told++;
	else
		count->missed++;
	return drop;
}

SEC("raw_tp/kfree_skb")
int kernel_drops(struct bpf_raw_tracepoint_args *ctx)
{
	static const char symbol[] = "%ps";
	const struct sk_buff *skb = (const struct sk_buff *)ctx->args[0];
	__u64 where = ctx->args[1], now = bpf_ktime_get_boot_ns(), cookie;
	__u32 reason = ctx->args[2], ifindex, zero = 0, *slot;
	struct mg_kdrop_count *count = bpf_map_lookup_elem(&mg_kdrop_count, &zero);
	struct mg_kdrop *drop;

	cookie = skb_cookie(skb, &ifindex);
	slot = bpf_map_lookup_elem(&mg_watched, &cookie);
	if (!slot || !count || is_told(skb, reason) || (!*slot && !is_ours(ifindex)))
		return 0;
	drop = reserve(count, now);
	if (!drop)
		return 0;
	drop->time = now;
	drop->reason = reason;
	drop->ifindex = ifindex;
	drop->slot = *slot;
	__builtin_memset(drop->pad, 0, sizeof(drop->pad));
	drop->function[0] = '\0';
	bpf_snprintf(drop->function, sizeof(drop->function), symbol, &where, sizeof(where));
	skb_capture(skb, drop);
	bpf_ringbuf_submit(drop, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
