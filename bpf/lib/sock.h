/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A service's backend instead of its address, where a socket of this node connects or sends, and
 * the service's address back where it asks who its peer is (abi/sock.h, docs/services.md).
 *
 * Sockets in namespaces of other nodes on the same kernel are not ours: they pass. What is not
 * translated here meets the programs at the pod's interface. A socket that sends without being
 * connected keeps its backend as a flow would: while that is one of the set's, and until nothing
 * was sent for as long as a UDP flow lives.
 */
#ifndef MARGAY_LIB_SOCK_H
#define MARGAY_LIB_SOCK_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "abi/event.h"
#include "abi/node.h"
#include "abi/reason.h"
#include "lib/endpoint.h"
#include "lib/front.h"
#include "lib/node.h"
#include "lib/pick.h"
#include "lib/sock_end.h"
#include "maps/drops.h"
#include "maps/netns.h"
#include "maps/socks.h"

#define SOCK_PASS 1
#define SOCK_REFUSE 0

/* --- whose -------------------------------------------------------------------------------- */

/* Does this load translate here? The node's own sockets have no other way. */
static __always_inline bool sock_is_served(struct bpf_sock_addr *ctx, const struct mg_local *local,
					   __u32 *ret_slot)
{
	__u64 netns = bpf_get_netns_cookie(ctx);
	__u32 *slot = bpf_map_lookup_elem(&mg_netns, &netns);

	if (!slot)
		return false;
	*ret_slot = *slot;
	if (ctx->protocol == IPPROTO_TCP)
		return true;
	return ctx->protocol == IPPROTO_UDP && (!*slot || local->flags & MG_LOCAL_CONNECT_UDP);
}

/* The address by which a set with affinity knows the client: the pod's, or the node's. */
static __always_inline void sock_client(const struct mg_local *local, __u32 slot, struct pick *pick,
					int family)
{
	const struct mg_ep *ep = endpoint_by_slot(slot);

	if (ep)
		pick->client = family == 4 ? ep->ip4 : ep->ip6;
	else
		pick->client = family == 4 ? local->ip4 : local->ip6;
}

/* --- rows --------------------------------------------------------------------------------- */

static __always_inline struct mg_sock_key sock_key(struct bpf_sock_addr *ctx, __u8 way,
						   const union mg_addr *addr, __be16 port)
{
	return (struct mg_sock_key){ .cookie = bpf_get_socket_cookie(ctx),
				     .addr = *addr,
				     .port = port,
				     .way = way,
				     .proto = ctx->protocol };
}

/* What comes from the chosen backend shall show the service. */
static __always_inline void sock_show(struct bpf_sock_addr *ctx, const struct mg_front *front,
				      const struct sock_end *service, const struct pick *pick)
{
	struct mg_sock_key key = sock_key(ctx, MG_SOCK_SHOWN, &pick->addr, pick->port);
	struct mg_sock row = { .addr = service->addr, .set = front->set, .port = service->port };

	const struct mg_sock *now = bpf_map_lookup_elem(&mg_socks, &key);

	/* The lookup alone keeps the row young. */
	if (!now || now->port != row.port || !addr_equal(&now->addr, &row.addr))
		bpf_map_update_elem(&mg_socks, &key, &row, BPF_ANY);
}

/* A backend that is addressed as itself shows itself. */
static __always_inline void sock_show_plain(struct bpf_sock_addr *ctx, const struct sock_end *end)
{
	struct mg_sock_key key = sock_key(ctx, MG_SOCK_SHOWN, &end->addr, end->port);

	if (ctx->protocol == IPPROTO_UDP)
		bpf_map_delete_elem(&mg_socks, &key);
}

static __always_inline void sock_keep(struct bpf_sock_addr *ctx, const struct mg_front *front,
				      const struct sock_end *service, const struct pick *pick)
{
	struct mg_sock_key key = sock_key(ctx, MG_SOCK_SENT, &service->addr, service->port);
	struct mg_sock row = {
		.addr = pick->addr, .set = front->set, .seen = pick->tick, .port = pick->port
	};

	bpf_map_update_elem(&mg_socks, &key, &row, BPF_ANY);
}

/* The backend that the socket's datagrams to this service go to. */
static __always_inline bool sock_kept(struct bpf_sock_addr *ctx, const struct mg_front *front,
				      const struct sock_end *service, struct pick *pick)
{
	const struct mg_local *local = local_row();
	struct mg_sock_key key = sock_key(ctx, MG_SOCK_SENT, &service->addr, service->port);
	struct mg_sock *row = bpf_map_lookup_elem(&mg_socks, &key);

	if (!row || !local || row->set != front->set ||
	    pick->tick - row->seen > local->timeout[MG_TMO_UDP])
		return false;
	pick->addr = row->addr;
	pick->port = row->port;
	if (!pick_is_member(front->set, pick))
		return false;
	if (pick->tick - row->seen > TICKS_A_SECOND)
		row->seen = pick->tick;
	return true;
}

/* --- steps -------------------------------------------------------------------------------- */

/* The call fails at once, also where a packet would be dropped without an answer: the one who is
 * told is on this node. There is no packet that could be shown, so it is counted alone. */
static __always_inline int sock_refuse(__u32 reason)
{
	__u32 index = MG_HOOK_SOCK * MG_DROP_SLOTS + reason;
	struct mg_drop_count *count = bpf_map_lookup_elem(&mg_drops, &index);

	if (count)
		count->packets++;
	bpf_set_retval(reason == MG_DROP_NO_BACKEND ? -ECONNREFUSED : -EHOSTUNREACH);
	return SOCK_REFUSE;
}

/* The node port at the family's loopback addresses. */
static __always_inline struct mg_front *sock_node_port(const struct mg_local *local,
						       const struct sock_end *end, __u8 proto)
{
	__u32 family = addr_family(&end->addr);
	__u32 portless = family == 4 ? MG_LOCAL_PORTLESS4 : MG_LOCAL_PORTLESS6;
	struct mg_front *front = front_node_port(family, end->port, proto, MG_FRONT_NEAR);

	if (front && local->flags & portless && !(front->flags & MG_FRONT_OWN))
		return NULL;
	return front;
}

/* The frontend that a socket of the slot means. The node's loopback addresses have its node ports
 * and what stands at them; those of a pod, and the unspecified address, are the pod's own. */
static __always_inline struct mg_front *
sock_front(const struct mg_local *local, const struct sock_end *end, __u8 proto, __u32 slot)
{
	bool inner = addr_is_unspecified(&end->addr) || addr_is_loopback(&end->addr);
	struct mg_front *front;

	if (!inner)
		return front_find(&end->addr, end->port, proto, MG_FRONT_NEAR);
	if (slot)
		return NULL;
	front = front_exact(&end->addr, end->port, proto, MG_FRONT_SELF);
	return front ? front : sock_node_port(local, end, proto);
}

/* True: pick has the backend. sends: by sendmsg(), which asks each time. */
static __always_inline bool sock_choose(struct bpf_sock_addr *ctx, bool sends,
					const struct mg_front *front,
					const struct sock_end *service, struct pick *pick)
{
	if (!front->count)
		return false;
	if (sends && sock_kept(ctx, front, service, pick))
		return true;
	if (!pick_backend(front, pick))
		return false;
	if (sends)
		sock_keep(ctx, front, service, pick);
	return true;
}

/* connect(), and sendmsg() of a socket that is not connected: the backend instead of the service.
 */
static __always_inline int sock_reach(struct bpf_sock_addr *ctx, bool is6, bool sends)
{
	const struct mg_local *local = local_row();
	struct pick pick = {};
	struct mg_front *front;
	struct sock_end end;
	__u32 slot = 0;

	if (!local || !sock_is_served(ctx, local, &slot))
		return SOCK_PASS;
	sock_end_read(ctx, is6, &end);
	front = sock_front(local, &end, ctx->protocol, slot);
	if (!front) {
		if (!sends)
			sock_show_plain(ctx, &end);
		return SOCK_PASS;
	}
	pick.tick = bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
	sock_client(local, slot, &pick, addr_family(&end.addr));
	if (!front_open_to(front, &pick.client))
		return sock_refuse(MG_DROP_SOURCE_RANGE);
	if (!sock_choose(ctx, sends, front, &end, &pick))
		return sock_refuse(front->flags & MG_FRONT_SILENT ? MG_DROP_NO_LOCAL_BACKEND
								  : MG_DROP_NO_BACKEND);
	sock_show(ctx, front, &end, &pick);
	sock_end_write(ctx, is6, &pick.addr, pick.port);
	return SOCK_PASS;
}

/* recvmsg() and getpeername(): the service instead of the backend. */
static __always_inline int sock_tell(struct bpf_sock_addr *ctx, bool is6)
{
	struct mg_sock_key key;
	struct sock_end end;
	struct mg_sock *row;

	sock_end_read(ctx, is6, &end);
	key = sock_key(ctx, MG_SOCK_SHOWN, &end.addr, end.port);
	row = bpf_map_lookup_elem(&mg_socks, &key);
	if (row)
		sock_end_write(ctx, is6, &row->addr, row->port);
	return SOCK_PASS;
}

#endif
