/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/check.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>

#include "abi/config.h"
#include "abi/endpoint.h"
#include "base/err.h"
#include "base/inet.h"
#include "cni/attachment.h"
#include "cni/error.h"
#include "cni/names.h"
#include "cni/ports.h"
#include "cni/wire.h"
#include "dataplane/attach.h"
#include "dataplane/netns.h"
#include "dataplane/pins.h"

struct subject {
	const struct wire *wire;
	const char *pin_dir;
	const struct attachment *attachment;
	struct cni_error *error;
};

/* One interface against what is recorded of it. A plugin chained behind may have made the MTU
 * smaller (tuning); larger, packets would be lost. */
static int check_link(const struct subject *s, struct net_sock *sock, const char *name,
		      __u32 ifindex, const __u8 mac[6])
{
	struct net_link link;
	struct err err;

	if (net_link_by_name(sock, name, &link, &err) < 0)
		return cni_fail_err(s->error, CNI_CHECK_FAILED, &err, "interface %s", name);
	if ((__u32)link.ifindex != ifindex)
		return cni_fail(s->error, CNI_CHECK_FAILED, "interface %s: index %d, made was %u",
				name, link.ifindex, ifindex);
	if (strcmp(link.kind, "veth"))
		return cni_fail(s->error, CNI_CHECK_FAILED, "interface %s: is no veth", name);
	if (!(link.flags & IFF_UP))
		return cni_fail(s->error, CNI_CHECK_FAILED, "interface %s: is down", name);
	if (memcmp(link.mac, mac, sizeof(link.mac)))
		return cni_fail(s->error, CNI_CHECK_FAILED, "interface %s: has another MAC", name);
	if (link.mtu > s->attachment->mtu)
		return cni_fail(s->error, CNI_CHECK_FAILED, "interface %s: MTU %u, made was %u",
				name, link.mtu, s->attachment->mtu);
	return 0;
}

static int check_links(const struct subject *s)
{
	const struct attachment *a = s->attachment;
	int r;

	r = check_link(s, s->wire->host, a->host_ifname, a->ifindex, a->host_mac);
	return r ? r : check_link(s, s->wire->pod, a->ifname, a->pod_ifindex, a->mac);
}

static int check_address(const struct subject *s, const union mg_addr *addr)
{
	_cleanup_free_ struct net_addr *addrs = NULL;
	char text[ADDR_TEXT_MAX];
	struct err err;
	size_t count;

	if (addr_is_zero(addr))
		return 0;
	if (net_addr_list(s->wire->pod, (int)s->attachment->pod_ifindex, &addrs, &count, &err) < 0)
		return cni_fail_err(s->error, CNI_KERNEL, &err, "addresses of the pod");
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&addrs[i].addr, addr))
			return 0;
	}
	return cni_fail(s->error, CNI_CHECK_FAILED, "address %s is not on %s in the pod",
			addr_format(addr, text), s->attachment->ifname);
}

static int check_addresses(const struct subject *s)
{
	int r = check_address(s, &s->attachment->ip4);

	return r ? r : check_address(s, &s->attachment->ip6);
}

static bool same_prefix(const struct mg_prefix *a, const struct mg_prefix *b)
{
	const union mg_addr left = a->addr, right = b->addr; /* packed in a prefix */

	return a->len == b->len && !addr_cmp(&left, &right);
}

/* A route to exactly dst by ifindex, through gateway (zero: none). */
static int check_route(const struct subject *s, struct net_sock *sock, const struct net_route *want)
{
	_cleanup_free_ struct net_route *routes = NULL;
	char text[PREFIX_TEXT_MAX];
	struct err err;
	size_t count;

	if (net_route_list(sock, 0, &routes, &count, &err) < 0)
		return cni_fail_err(s->error, CNI_KERNEL, &err, "routes");
	for (size_t i = 0; i < count; i++) {
		if (same_prefix(&routes[i].dst, &want->dst) && routes[i].ifindex == want->ifindex &&
		    !addr_cmp(&routes[i].gateway, &want->gateway))
			return 0;
	}
	return cni_fail(s->error, CNI_CHECK_FAILED, "route %s is missing %s",
			prefix_format(&want->dst, text),
			sock == s->wire->pod ? "in the pod" : "on the host");
}

static int check_host_route(const struct subject *s, const union mg_addr *addr)
{
	struct net_route want = {
		.dst = { .len = MG_ADDR_BITS, .addr = *addr },
		.ifindex = (int)s->attachment->ifindex,
	};

	return addr_is_zero(addr) ? 0 : check_route(s, s->wire->host, &want);
}

static int check_routes(const struct subject *s)
{
	const struct attachment *a = s->attachment;
	int r;

	r = check_host_route(s, &a->ip4);
	if (!r)
		r = check_host_route(s, &a->ip6);
	for (size_t i = 0; !r && i < a->route_count; i++) {
		struct net_route want = {
			.dst = a->routes[i],
			.gateway = prefix_is4(&a->routes[i]) ? gateway4() : gateway6(a->host_mac),
			.ifindex = (int)a->pod_ifindex,
		};

		prefix_mask(&want.dst);
		r = check_route(s, s->wire->pod, &want);
	}
	return r;
}

static int check_neighbour(const struct subject *s, struct net_sock *sock,
			   const struct net_neigh *want)
{
	_cleanup_free_ struct net_neigh *neighs = NULL;
	char text[ADDR_TEXT_MAX];
	struct err err;
	size_t count;

	if (net_neigh_list(sock, want->ifindex, &neighs, &count, &err) < 0)
		return cni_fail_err(s->error, CNI_KERNEL, &err, "neighbours");
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&neighs[i].addr, &want->addr) && neighs[i].state == NUD_PERMANENT &&
		    !memcmp(neighs[i].mac, want->mac, sizeof(want->mac)))
			return 0;
	}
	return cni_fail(s->error, CNI_CHECK_FAILED, "permanent neighbour %s is missing %s",
			addr_format(&want->addr, text),
			sock == s->wire->pod ? "in the pod" : "on the host");
}

/* The pod at the host, and the gateway at the pod. */
static int check_neighbours_of(const struct subject *s, const union mg_addr *addr)
{
	const struct attachment *a = s->attachment;
	struct net_neigh pod = { .ifindex = (int)a->ifindex, .addr = *addr };
	struct net_neigh gateway = {
		.ifindex = (int)a->pod_ifindex,
		.addr = addr_is4(addr) ? gateway4() : gateway6(a->host_mac),
	};
	int r;

	if (addr_is_zero(addr))
		return 0;
	memcpy(pod.mac, a->mac, sizeof(pod.mac));
	memcpy(gateway.mac, a->host_mac, sizeof(gateway.mac));
	r = check_neighbour(s, s->wire->host, &pod);
	return r ? r : check_neighbour(s, s->wire->pod, &gateway);
}

static int check_neighbours(const struct subject *s)
{
	int r = check_neighbours_of(s, &s->attachment->ip4);

	return r ? r : check_neighbours_of(s, &s->attachment->ip6);
}

/* Ours is what is pinned now, and what was until an upgrade (known by its name and maps). */
static int know_program(const struct subject *s, const char *name)
{
	_cleanup_close_ int fd = -1;
	struct err err;

	if (pin_open_prog(s->pin_dir, name, &fd, &err) < 0)
		return cni_fail_err(s->error, CNI_CHECK_FAILED, &err, "program %s", name);
	dp_attach_know(fd);
	return 0;
}

/* By TCX or by clsact: which of them is the agent's choice. */
static int check_program(const struct subject *s, const char *name, enum dp_way way)
{
	const struct dp_attach_ops *const kinds[] = { &dp_attach_tcx, &dp_attach_clsact };
	struct dp_attached attached = { 0 };
	struct err err;

	if (know_program(s, name) < 0)
		return -EIO;
	for (size_t i = 0; i < 2; i++) {
		if (kinds[i]->query((int)s->attachment->ifindex, way, &attached, &err) < 0 ||
		    !attached.id)
			continue;
		if (attached.first)
			return 0;
		return cni_fail(s->error, CNI_CHECK_FAILED,
				"program %s on %s: program %u runs before it (%s)", name,
				s->attachment->host_ifname, attached.ahead, kinds[i]->name);
	}
	return cni_fail(s->error, CNI_CHECK_FAILED, "program %s is not attached to %s", name,
			s->attachment->host_ifname);
}

static int check_programs(const struct subject *s)
{
	int r = check_program(s, "from_pod", DP_INGRESS);

	return r ? r : check_program(s, "to_pod", DP_EGRESS);
}

static int get_row(const struct subject *s, const char *name, __u32 key, size_t size, void *row)
{
	_cleanup_map_ struct dp_map map = DP_MAP_NONE;
	struct err err;

	if (pin_open_map(s->pin_dir, name, &map, &err) < 0)
		return cni_fail_err(s->error, CNI_CHECK_FAILED, &err, "map %s", name);
	if (map.value_size != size || dp_map_get(&map, &key, row) < 0)
		return cni_fail(s->error, CNI_CHECK_FAILED, "map %s: no row %u", name, key);
	return 0;
}

static int row_differs(const struct subject *s, const char *what)
{
	return cni_fail(s->error, CNI_CHECK_FAILED, "map mg_ep: row %u: %s", s->attachment->slot,
			what);
}

static int check_row(const struct subject *s)
{
	const struct attachment *a = s->attachment;
	struct mg_ep row;
	__u32 slot;
	int r;

	r = get_row(s, "mg_ep", a->slot, sizeof(row), &row);
	if (r < 0)
		return r;
	if (row.ifindex != a->ifindex || row.slot != a->slot)
		return row_differs(s, "belongs to another interface");
	if (!(row.flags & MG_EP_READY))
		return row_differs(s, "is not ready");
	if (addr_cmp(&row.ip4, &a->ip4) || addr_cmp(&row.ip6, &a->ip6))
		return row_differs(s, "has other addresses");
	if (memcmp(row.mac, a->mac, 6) || memcmp(row.host_mac, a->host_mac, 6))
		return row_differs(s, "has other MACs");
	if (row.netns_cookie != a->netns_cookie)
		return row_differs(s, "is of another namespace");
	if (a->ifindex == MG_IFINDEX_BASE + a->slot)
		return 0;
	r = get_row(s, "mg_ep_if", a->ifindex, sizeof(slot), &slot);
	if (r < 0)
		return r;
	return slot == a->slot ? 0 : row_differs(s, "mg_ep_if leads the interface elsewhere");
}

static int check_bandwidth(const struct subject *s)
{
	return bandwidth_check(s->wire, s->attachment, s->error);
}

static int check_ports(const struct subject *s)
{
	return ports_check(s->pin_dir, s->attachment, s->error);
}

static int check_namespace(const struct subject *s)
{
	struct err err;
	__u64 cookie;

	if (netns_cookie(s->wire->netns_fd, &cookie, &err) < 0)
		return cni_fail_err(s->error, CNI_KERNEL, &err, "cookie of the namespace");
	if (cookie != s->attachment->netns_cookie)
		return cni_fail(s->error, CNI_CHECK_FAILED,
				"CNI_NETNS is another namespace than at ADD");
	return 0;
}

int check_kernel(const struct wire *wire, const char *pin_dir, const struct attachment *attachment,
		 struct cni_error *error)
{
	static int (*const checks[])(const struct subject *s) = {
		check_namespace, check_links,	  check_addresses, check_routes, check_neighbours,
		check_programs,	 check_bandwidth, check_row,	   check_ports,
	};
	struct subject subject = { wire, pin_dir, attachment, error };
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(checks) / sizeof(checks[0]); i++)
		r = checks[i](&subject);
	return r;
}
