/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which of mg_control.epoch belongs to an address: one function for the program that adds
 * the epochs up and for the agent that raises them.
 *
 * A flow's stamp (mg_flow.epoch) is the sum over both addresses of epoch[mg_epoch_hash(address)],
 * plus net_epoch for each address without a row in mg_addrs, plus host_epoch. The agent writes rows
 * first, then epochs, then raises change; programs read in the opposite order.
 */
#ifndef MARGAY_ABI_EPOCH_H
#define MARGAY_ABI_EPOCH_H

#include "abi/addr.h"
#include "abi/policy.h"

static inline __attribute__((always_inline)) __u32 mg_epoch_hash(const union mg_addr *addr)
{
	__u64 mix = addr->d[0] * 0x9e3779b97f4a7c15ULL + addr->d[1];

	mix ^= mix >> 32;
	mix *= 0xd6e8feb86659fd93ULL;
	return mix >> 52; /* the top 12 bits: below MG_EPOCHS */
}

_Static_assert(MG_EPOCHS == 4096, "mg_epoch_hash gives 12 bits");

#endif
