/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time in ticks of 2^20 ns, monotonic, read once a packet at the kernel's coarse clock (one
 * load, where the fine one costs a fifth of a packet). Wraps after 52 days: compare differences.
 */
#ifndef MARGAY_LIB_TICK_H
#define MARGAY_LIB_TICK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define TICK_SHIFT 20
#define TICKS_A_SECOND (1000000000U >> TICK_SHIFT)
#define HALF_SECOND_SHIFT 9 /* of ticks: 0.537 s */

static __always_inline __u32 tick_now(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

#endif
