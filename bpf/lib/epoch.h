/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading mg_control: what is in force, and the sum of epochs that a flow's stamp keeps
 * (abi/epoch.h). Order matters: change first, then epochs, then rows, so that a stamp is never
 * newer than what was judged.
 */
#ifndef MARGAY_LIB_EPOCH_H
#define MARGAY_LIB_EPOCH_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/epoch.h"
#include "abi/policy.h"
#include "lib/addr.h"
#include "lib/packet.h"
#include "lib/trace.h"
#include "maps/commits.h"
#include "maps/control.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))

static __always_inline struct mg_control *control_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&mg_control, &zero);
}

static __always_inline struct mg_commit *commit_row(const struct mg_control *control)
{
	__u32 row = READ_ONCE(control->commit);

	return bpf_map_lookup_elem(&mg_commits, &row);
}

/* The column in force: the fall-back one past the deadline (boot time, read only where one is
 * pending). */
static __always_inline __u32 commit_column(const struct mg_commit *commit)
{
	if (commit->deadline && bpf_ktime_get_boot_ns() > commit->deadline)
		return commit->fallback;
	return commit->column;
}

static __always_inline __u32 epoch_of(const struct mg_control *control, const union mg_addr *addr)
{
	__u32 at = mg_epoch_hash(addr) & (MG_EPOCHS - 1);

	return READ_ONCE(control->epoch[at]);
}

/* Both ends' epochs, then both ends' exact rows: pkt->epoch, pkt->from, pkt->to. What has no
 * exact row is left open for ident_complete(). */
static __always_inline void stamp_ends(struct packet *pkt, const struct mg_control *control)
{
	__u32 net = READ_ONCE(control->net_epoch);
	__u32 sum = epoch_of(control, &pkt->src) + epoch_of(control, &pkt->dst) +
		    READ_ONCE(control->host_epoch);

	barrier();
	ident_exact(&pkt->src, &pkt->from);
	ident_exact(&pkt->dst, &pkt->to);
	if (!(pkt->from.flags & PKT_ADDR_EXACT))
		sum += net;
	if (!(pkt->to.flags & PKT_ADDR_EXACT))
		sum += net;
	pkt->epoch = sum;
}

static __always_inline void complete_ends(struct packet *pkt)
{
	ident_complete(&pkt->src, &pkt->from);
	ident_complete(&pkt->dst, &pkt->to);
	trace_step(MG_STEP_SOURCE, pkt->from.identity, pkt->from.node, pkt->from.flags);
	trace_step(MG_STEP_DESTINATION, pkt->to.identity, pkt->to.node << 16 | pkt->to.slot,
		   pkt->to.flags);
}

#endif
