/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which backend of a set is for a client (abi/service.h): of packets and of sockets alike. Knows
 * neither.
 */
#ifndef MARGAY_LIB_PICK_H
#define MARGAY_LIB_PICK_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/service.h"
#include "lib/tick.h"
#include "maps/affinity.h"
#include "maps/backs.h"
#include "maps/members.h"

struct pick {
	union mg_addr client; /* given */
	union mg_addr addr;   /* the backend */
	__u32 tick;	      /* given: now */
	__u32 slot;	      /* of the backend in its set */
	__be16 port;
	__u8 pad[6];
};

/* Is pick->addr:port one of the set? Its slot then. Of sets with affinity or of UDP. */
static __always_inline bool pick_is_member(__u32 set, struct pick *pick)
{
	struct mg_member member = { .addr = pick->addr, .set = set, .port = pick->port };
	__u32 *slot = bpf_map_lookup_elem(&mg_members, &member);

	if (!slot)
		return false;
	pick->slot = *slot;
	return true;
}

/* The one that this client had last, while it is one of the set. */
static __always_inline bool pick_again(const struct mg_front *front, struct pick *pick)
{
	struct mg_affinity_key key = { .client = pick->client, .set = front->set };
	struct mg_affinity *last = bpf_map_lookup_elem(&mg_affinity, &key);

	if (!last || pick->tick - last->seen > front->affinity * TICKS_A_SECOND)
		return false;
	pick->addr = last->addr;
	pick->port = last->port;
	return pick_is_member(front->set, pick);
}

static __always_inline void pick_remember(const struct mg_front *front, const struct pick *pick)
{
	struct mg_affinity_key key = { .client = pick->client, .set = front->set };
	struct mg_affinity row = { .addr = pick->addr, .seen = pick->tick, .port = pick->port };

	bpf_map_update_elem(&mg_affinity, &key, &row, BPF_ANY);
}

/* Any of the set. */
static __always_inline bool pick_any(const struct mg_front *front, struct pick *pick)
{
	struct mg_back_key key = { .set = front->set };
	struct mg_back *back;

	key.slot = bpf_get_prandom_u32() % front->count;
	back = bpf_map_lookup_elem(&mg_backs, &key);
	if (!back) { /* the set has shrunk this moment */
		key.slot = 0;
		back = bpf_map_lookup_elem(&mg_backs, &key);
	}
	if (!back)
		return false;
	pick->slot = key.slot;
	pick->addr = back->addr;
	pick->port = back->port;
	return true;
}

/* front->count is not 0. False: the set has lost its last backend this moment. */
static __always_inline bool pick_backend(const struct mg_front *front, struct pick *pick)
{
	if (!(front->affinity && pick_again(front, pick)) && !pick_any(front, pick))
		return false;
	if (front->affinity)
		pick_remember(front, pick);
	return true;
}

#endif
