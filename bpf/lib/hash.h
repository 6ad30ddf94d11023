/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hash of a packet's addresses, ports and protocol: the same for every packet of a flow in one
 * direction, in each program and on each kernel (bpf_get_hash_recalc() is neither: a socket
 * may change its hash, and what parse learnt of a later fragment is unknown to it).
 */
#ifndef MARGAY_LIB_HASH_H
#define MARGAY_LIB_HASH_H

#include "lib/packet.h"

static __always_inline __u64 hash_mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

static __always_inline __u32 flow_hash(const struct packet *pkt)
{
	__u64 hash = pkt->proto;

	hash = hash_mix(hash, pkt->src.d[0]);
	hash = hash_mix(hash, pkt->src.d[1]);
	hash = hash_mix(hash, pkt->dst.d[0]);
	hash = hash_mix(hash, pkt->dst.d[1]);
	hash = hash_mix(hash, (__u32)pkt->sport << 16 | pkt->dport);
	return hash >> 16;
}

#endif
