/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Step log of the trace copy: what each step decided. In the packet path's own load
 * mg_config.trace is a constant 0 and every call vanishes.
 */
#ifndef MARGAY_LIB_TRACE_H
#define MARGAY_LIB_TRACE_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "lib/config.h"
#include "maps/steps.h"

static __always_inline void trace_step(__u32 kind, __u32 a, __u32 b, __u32 c)
{
	__u32 zero = 0, at;
	struct mg_steps *log;

	if (!mg_config.trace)
		return;
	log = bpf_map_lookup_elem(&mg_steps, &zero);
	if (!log)
		return;
	at = log->count;
	if (at >= MG_STEPS_MAX)
		return;
	log->step[at].kind = kind;
	log->step[at].a = a;
	log->step[at].b = b;
	log->step[at].c = c;
	log->count = at + 1;
}

/* What finish gave to the kernel: the last word of a run. */
static __always_inline void trace_verdict(__u32 verdict)
{
	__u32 zero = 0;
	struct mg_steps *log;

	if (!mg_config.trace)
		return;
	log = bpf_map_lookup_elem(&mg_steps, &zero);
	if (log)
		log->verdict = verdict;
}

#endif
