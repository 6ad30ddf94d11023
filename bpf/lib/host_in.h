/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What comes in where a host endpoint judges and is for no pod: for the node itself, or to be
 * passed on. Its flows have rows, so that answers pass and changes reach what is open.
 */
#ifndef MARGAY_LIB_HOST_IN_H
#define MARGAY_LIB_HOST_IN_H

#include "lib/open.h"
#include "lib/route.h"
#include "lib/uplink.h"

/* Is a socket of this node what gets it? Addresses that are no node's are asked of the kernel's
 * routes: what it does not forward stays here. */
__weak __noinline int goes_to_node(struct __sk_buff *skb, struct packet *pkt)
{
	struct bpf_fib_lookup fib = {};
	long r;

	if (!pkt)
		return false;
	if (pkt->flags & PKT_MULTICAST || is_local_host(&pkt->to))
		return true;
	if (pkt->to.flags & (MG_ADDR_POD | MG_ADDR_HOST | MG_ADDR_BLOCK))
		return false;
	fib_ask(&fib, pkt);
	r = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	return r == BPF_FIB_LKUP_RET_NOT_FWDED || r == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* To the node itself, or to be passed on: the host endpoint judges. 0: it goes on. */
static __always_inline int host_new_in(struct __sk_buff *skb, struct packet *pkt)
{
	pkt->side[PKT_IN] = goes_to_node(skb, pkt) ? MG_SIDE_OWN : 0;
	return open_host(pkt);
}

/* What belongs to no flow: multicast, ICMP errors about nothing we know. */
static __always_inline int host_alone_in(struct __sk_buff *skb, struct packet *pkt)
{
	int r = open_ends(pkt);

	return r ? r : host_new_in(skb, pkt);
}

static __always_inline int multicast_in(struct __sk_buff *skb, struct packet *pkt)
{
	int r;

	if (!pkt->host)
		return MG_FINAL_NEXT;
	pkt->side[PKT_OUT] = pkt->ifindex;
	r = host_untracked(pkt, MG_STAGE_UNTRACKED_IN);
	if (!r && pkt->host)
		r = host_alone_in(skb, pkt);
	return r ? r : MG_FINAL_NEXT;
}

#endif
