/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The far end as a system call names it (struct bpf_sock_addr), and as it shall be. A v4-mapped
 * address at an IPv6 socket is the IPv4 address: both are written alike.
 */
#ifndef MARGAY_LIB_SOCK_END_H
#define MARGAY_LIB_SOCK_END_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "lib/addr_ops.h"

struct sock_end {
	union mg_addr addr;
	__be16 port;
};

static __always_inline void sock_end_read(const struct bpf_sock_addr *ctx, bool is6,
					  struct sock_end *end)
{
	end->port = (__be16)ctx->user_port;
	if (!is6) {
		addr_set_v4(&end->addr, ctx->user_ip4);
		return;
	}
	end->addr.w[0] = ctx->user_ip6[0];
	end->addr.w[1] = ctx->user_ip6[1];
	end->addr.w[2] = ctx->user_ip6[2];
	end->addr.w[3] = ctx->user_ip6[3];
}

/* Of the same family as what was read. */
static __always_inline void sock_end_write(struct bpf_sock_addr *ctx, bool is6,
					   const union mg_addr *addr, __be16 port)
{
	ctx->user_port = port;
	if (!is6) {
		ctx->user_ip4 = addr->w[3];
		return;
	}
	ctx->user_ip6[0] = addr->w[0];
	ctx->user_ip6[1] = addr->w[1];
	ctx->user_ip6[2] = addr->w[2];
	ctx->user_ip6[3] = addr->w[3];
}

#endif
