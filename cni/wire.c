/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/wire.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/inet.h"
#include "cni/attachment.h"
#include "cni/error.h"
#include "cni/names.h"
#include "dataplane/attach.h"
#include "dataplane/netns.h"
#include "dataplane/pins.h"

#define UP_WAIT_MS 5000

void wire_done(struct wire *wire)
{
	net_close(wire->pod);
	net_close(wire->host);
	close_p(&wire->netns_fd);
}

int wire_open(const char *netns, struct wire *ret_wire, struct cni_error *error)
{
	_cleanup_wire_ struct wire wire = WIRE_NONE;
	struct err err;
	int r;

	r = netns_open(netns, &wire.netns_fd, &err);
	if (r < 0) {
		cni_fail_err(error, CNI_UNKNOWN_CONTAINER, &err, "network namespace of the pod");
		return r;
	}
	if (netns_is_current(wire.netns_fd) == 1)
		return cni_fail(error, CNI_BAD_ENVIRONMENT,
				"CNI_NETNS %s is the namespace of the host itself", netns);
	if (net_open(&wire.host, &err) < 0 || net_open_in(wire.netns_fd, &wire.pod, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "netlink");
	*ret_wire = wire;
	wire = (struct wire)WIRE_NONE;
	return 0;
}

static bool is_zero_mac(const __u8 mac[6])
{
	static const __u8 zero[6];

	return !memcmp(mac, zero, sizeof(zero));
}

static int find_ends(const struct wire *wire, struct attachment *attachment,
		     struct cni_error *error)
{
	struct net_link host, pod;
	struct err err;

	if (net_link_by_name(wire->host, attachment->host_ifname, &host, &err) < 0 ||
	    net_link_by_name(wire->pod, attachment->ifname, &pod, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "interfaces just made");
	attachment->ifindex = (__u32)host.ifindex;
	attachment->pod_ifindex = (__u32)pod.ifindex;
	attachment->mtu = pod.mtu;
	memcpy(attachment->mac, pod.mac, sizeof(attachment->mac));
	return 0;
}

int wire_create(const struct wire *wire, struct attachment *attachment, struct cni_error *error)
{
	struct net_veth veth = {
		.name = attachment->host_ifname,
		.peer_name = attachment->ifname,
		.ifindex = (int)attachment->ifindex,
		.peer_netns = wire->netns_fd,
		.mac = attachment->host_mac,
		.peer_mac = is_zero_mac(attachment->mac) ? NULL : attachment->mac,
		.mtu = attachment->mtu,
	};
	struct err err;
	int r;

	r = net_veth_create(wire->host, &veth, &err);
	if (r == -EBUSY && veth.ifindex) {
		veth.ifindex = 0;
		r = net_veth_create(wire->host, &veth, &err);
	}
	if (r < 0)
		return cni_fail_err(error, r == -EEXIST ? CNI_NAME_TAKEN : CNI_KERNEL, &err,
				    "cannot make interface %s on the host and %s in the pod",
				    attachment->host_ifname, attachment->ifname);
	return find_ends(wire, attachment, error);
}

int wire_programs(const char *pin_dir, int attach_type, const struct attachment *attachment,
		  struct cni_error *error)
{
	_cleanup_close_ int from_pod = -1, to_pod = -1;
	const struct dp_attach_ops *ops;
	int ifindex = (int)attachment->ifindex;
	struct err err;

	if (pin_open_prog(pin_dir, "from_pod", &from_pod, &err) < 0 ||
	    pin_open_prog(pin_dir, "to_pod", &to_pod, &err) < 0)
		return cni_fail_err(error, CNI_TRY_AGAIN, &err, "the agent's programs are missing");
	if (dp_attach_pick(attach_type, &ops, &err) < 0 ||
	    dp_attach(ops, ifindex, DP_INGRESS, from_pod, &err) < 0 ||
	    dp_attach(ops, ifindex, DP_EGRESS, to_pod, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "programs on %s",
				    attachment->host_ifname);
	return 0;
}

static int permanent_neighbour(struct net_sock *sock, __u32 ifindex, const union mg_addr *addr,
			       const __u8 mac[6], struct err *err)
{
	struct net_neigh neigh = {
		.ifindex = (int)ifindex,
		.addr = *addr,
		.state = NUD_PERMANENT,
	};

	memcpy(neigh.mac, mac, sizeof(neigh.mac));
	return net_neigh_set(sock, &neigh, err);
}

/* Exclusive: an address that already leads elsewhere is somebody else's. */
static int host_route(const struct wire *wire, const struct attachment *attachment,
		      const union mg_addr *addr, struct cni_error *error)
{
	struct net_route route = {
		.dst = { .len = MG_ADDR_BITS, .addr = *addr },
		.ifindex = (int)attachment->ifindex,
		.scope = RT_SCOPE_LINK,
	};
	char text[ADDR_TEXT_MAX];
	struct err err;
	int r;

	r = permanent_neighbour(wire->host, attachment->ifindex, addr, attachment->mac, &err);
	if (!r)
		r = net_route_add(wire->host, &route, &err);
	if (r < 0)
		return cni_fail_err(error, r == -EEXIST ? CNI_NAME_TAKEN : CNI_KERNEL, &err,
				    "route to %s by %s", addr_format(addr, text),
				    attachment->host_ifname);
	return 0;
}

int wire_host(const struct wire *wire, const struct attachment *attachment, struct cni_error *error)
{
	struct net_addr local = {
		.ifindex = (int)attachment->ifindex,
		.addr = gateway6(attachment->host_mac),
		.bits = 64,
		.scope = RT_SCOPE_LINK,
	};
	struct err err;
	int r = 0;

	if (net_link_set_up(wire->host, (int)attachment->ifindex, true, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "%s", attachment->host_ifname);
	if (!addr_is_zero(&attachment->ip6) && net_addr_add(wire->host, &local, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "link-local address of %s",
				    attachment->host_ifname);
	if (!addr_is_zero(&attachment->ip4))
		r = host_route(wire, attachment, &attachment->ip4, error);
	if (!r && !addr_is_zero(&attachment->ip6))
		r = host_route(wire, attachment, &attachment->ip6, error);
	return r;
}

static int pod_address(const struct wire *wire, const struct attachment *attachment,
		       const union mg_addr *addr, struct cni_error *error)
{
	union mg_addr gateway = addr_is4(addr) ? gateway4() : gateway6(attachment->host_mac);
	struct net_addr row = {
		.ifindex = (int)attachment->pod_ifindex,
		.addr = *addr,
		.bits = addr_is4(addr) ? 32 : 128,
	};
	char text[ADDR_TEXT_MAX];
	struct err err;

	if (net_addr_add(wire->pod, &row, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "address %s on %s in the pod",
				    addr_format(addr, text), attachment->ifname);
	if (permanent_neighbour(wire->pod, attachment->pod_ifindex, &gateway, attachment->host_mac,
				&err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "neighbour %s on %s in the pod",
				    addr_format(&gateway, text), attachment->ifname);
	return 0;
}

int wire_pod(const struct wire *wire, const struct attachment *attachment, struct cni_error *error)
{
	int r = 0;

	if (!addr_is_zero(&attachment->ip4))
		r = pod_address(wire, attachment, &attachment->ip4, error);
	if (!r && !addr_is_zero(&attachment->ip6))
		r = pod_address(wire, attachment, &attachment->ip6, error);
	return r;
}

/* Reaches 169.254.1.1. The pod's first network of ours has it already: then onlink does. */
static int gateway_route(const struct wire *wire, const struct attachment *attachment,
			 struct err *err)
{
	struct net_route route = {
		.dst = { .len = MG_ADDR_BITS, .addr = gateway4() },
		.ifindex = (int)attachment->pod_ifindex,
		.scope = RT_SCOPE_LINK,
	};
	int r;

	if (addr_is_zero(&attachment->ip4))
		return 0;
	r = net_route_add(wire->pod, &route, err);
	return r == -EEXIST ? 0 : r;
}

/* 1: a default route that another interface has. */
static int pod_route(const struct wire *wire, const struct attachment *attachment,
		     const struct mg_prefix *dst, struct err *err)
{
	bool v4 = prefix_is4(dst);
	struct net_route route = {
		.dst = *dst,
		.gateway = v4 ? gateway4() : gateway6(attachment->host_mac),
		.ifindex = (int)attachment->pod_ifindex,
		.onlink = true,
	};
	int r;

	prefix_mask(&route.dst);
	r = net_route_add(wire->pod, &route, err);
	if (r == -EEXIST && prefix_bits(dst) == 0)
		return 1;
	return r;
}

/* The host's end was up before there was a carrier: a worker of the kernel's makes it send
 * (linkwatch), and until then what is meant for the pod is lost. */
static int wait_until_it_sends(const struct wire *wire, const struct attachment *attachment,
			       struct err *err)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int i = 0; i < UP_WAIT_MS; i++) {
		struct net_link link;
		int r = net_link_get(wire->host, (int)attachment->ifindex, &link, err);

		if (r < 0 || link.operstate == IF_OPER_UP)
			return r;
		nanosleep(&pause, NULL);
	}
	return err_set(err, -ETIMEDOUT, "the kernel does not bring it up");
}

int wire_up(const struct wire *wire, struct attachment *attachment, struct cni_error *error)
{
	char text[PREFIX_TEXT_MAX];
	size_t kept = 0;
	struct err err;

	if (net_link_set_up(wire->pod, (int)attachment->pod_ifindex, true, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "%s in the pod", attachment->ifname);
	if (gateway_route(wire, attachment, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "route to the gateway in the pod");
	for (size_t i = 0; i < attachment->route_count; i++) {
		const struct mg_prefix dst = attachment->routes[i];
		int r = pod_route(wire, attachment, &dst, &err);

		if (r < 0)
			return cni_fail_err(error, r == -EEXIST ? CNI_NAME_TAKEN : CNI_KERNEL, &err,
					    "route %s in the pod", prefix_format(&dst, text));
		if (!r)
			attachment->routes[kept++] = dst;
	}
	attachment->route_count = kept;
	if (wait_until_it_sends(wire, attachment, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "%s", attachment->host_ifname);
	return 0;
}

/* By a DEL that was killed before the agent took it, or without agent. */
static int delete_retired(struct net_sock *host, const struct attachment *attachment,
			  struct cni_error *error)
{
	char name[IFNAMSIZ], peer[IFNAMSIZ];
	struct err err;
	int r;

	aside_ifnames(attachment->host_ifname, name, peer);
	r = net_link_delete_name(host, name, &err);
	if (r < 0 && r != -ENODEV)
		return cni_fail_err(error, CNI_KERNEL, &err, "cannot delete %s", name);
	return 0;
}

int wire_delete(struct net_sock *host, const struct attachment *attachment, struct cni_error *error)
{
	struct net_link link;
	struct err err;
	int r;

	r = net_link_by_name(host, attachment->host_ifname, &link, &err);
	if (r == -ENODEV)
		return delete_retired(host, attachment, error);
	if (r < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "%s", attachment->host_ifname);
	/* Of another kind or index: made by somebody after ours had gone. */
	if (strcmp(link.kind, "veth") ||
	    (attachment->ready && attachment->ifindex != (__u32)link.ifindex))
		return 0;
	r = net_link_delete(host, link.ifindex, &err);
	if (r < 0 && r != -ENODEV)
		return cni_fail_err(error, CNI_KERNEL, &err, "cannot delete %s",
				    attachment->host_ifname);
	return 0;
}
