/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time in ticks of 2^20 ns, monotonic, as the kernel's coarse clock has it. That clock moves with
 * the jiffies, which a program reads by one load where the clock is a call: the clock is asked
 * when they have changed. Wraps after 52 days: compare differences.
 */
#ifndef MARGAY_LIB_TICK_H
#define MARGAY_LIB_TICK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lib/packet.h"

#define TICK_SHIFT 20
#define TICKS_A_SECOND (1000000000U >> TICK_SHIFT)
#define HALF_SECOND_SHIFT 9 /* of ticks: 0.537 s */

/* pkt->tick, in a row that is kept from packet to packet. */
static __always_inline void tick_now(struct packet *pkt)
{
	__u64 jiffies = bpf_jiffies64();

	if (pkt->jiffies == jiffies)
		return;
	pkt->jiffies = jiffies;
	pkt->tick = bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

#endif
