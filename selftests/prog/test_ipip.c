/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP-in-IP on the wire: node 1 with our programs on its uplink and on a pod's device, node 2 a
 * plain kernel with an `ipip` (for IPv6 inside: `sit`) device. Pings and TCP streams between the
 * pod, node 1 itself and the address behind the device, in packets of 64 KiB and in single
 * segments with checksums by software. One process, three namespaces, sockets in each.
 *
 * Where the kernel has no such device (modules ipip and sit) the cases are skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* before linux/if_tunnel.h, which has the same names */
#include <net/if.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tunnel.h>
#include <linux/ip.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "selftests/lib/fixture.h"
#include "selftests/lib/sandbox.h"
#include "selftests/lib/traffic.h"

#define SLOT 1
#define POD_DEVICE (MG_IFINDEX_BASE + SLOT)
#define MTU 1500
#define MTU_INSIDE 1480
#define TABLE_FAR 100
#define OFFLOAD_BYTES (16U << 20)
#define SOFTWARE_BYTES (2U << 20)

enum node { NEAR, POD, FAR, NODES };

static const char *const address[NODES][2] = { [NEAR] = { "192.168.7.1", "fd07::1" },
					       [POD] = { "10.65.1.2", "fd65:1::2" },
					       [FAR] = { "10.65.2.2", "fd65:2::2" } };
static const char *const far_device[2] = { "far4", "far6" };
static int place[NODES]; /* descriptors of the namespaces */
static struct fixture fx;
static struct err err;

#define OK(expression)                                                                             \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, err.text);                         \
	} while (0)

/* --- devices, addresses, routes ---------------------------------------------------------- */
static int here(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int make_place(void)
{
	int home = here(), fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = here();
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return fd;
}

static int up(struct net_sock *sock, const char *name)
{
	struct net_link link;

	OK(net_link_by_name(sock, name, &link, &err));
	OK(net_link_set_up(sock, link.ifindex, true, &err));
	return link.ifindex;
}

static void add_address(struct net_sock *sock, int ifindex, const char *text, __u8 bits)
{
	const struct net_addr addr = { .ifindex = ifindex,
				       .addr = fixture_addr(text),
				       .bits = bits };

	OK(net_addr_add(sock, &addr, &err));
}

/* To one address, or by default (dst NULL), of gateway's family. */
static struct net_route route_to(int ifindex, const char *dst, const char *gateway)
{
	struct net_route route = { .ifindex = ifindex, .onlink = gateway != NULL };

	if (gateway)
		route.gateway = fixture_addr(gateway);
	if (dst)
		route.dst = (struct mg_prefix){ .len = 128, .addr = fixture_addr(dst) };
	else if (!strchr(gateway, ':'))
		route.dst = (struct mg_prefix){ .len = 96, .addr = fixture_addr("0.0.0.0") };
	return route;
}

static void add_route(struct net_sock *sock, struct net_route route)
{
	OK(net_route_add(sock, &route, &err));
}

static void add_neighbour(struct net_sock *sock, int ifindex, const char *text, const __u8 *mac)
{
	struct net_neigh neigh = { .ifindex = ifindex,
				   .addr = fixture_addr(text),
				   .state = 0x80 /* permanent */ };

	memcpy(neigh.mac, mac, sizeof(neigh.mac));
	OK(net_neigh_set(sock, &neigh, &err));
}

static void build_pod(struct net_sock *near)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	struct mg_ep ep = fixture_ep(&fx, SLOT);
	static const char *const gateway[2] = { "169.254.1.1", "fe80::1" };
	char device[IFNAMSIZ];
	struct net_link link;
	int ifindex;

	snprintf(device, sizeof(device), "p%d", POD_DEVICE);
	OK(net_link_by_name(near, device, &link, &err));
	OK(net_link_set_netns(near, link.ifindex, place[POD], &err));
	OK(net_link_set_mac(near, POD_DEVICE, ep.host_mac, &err));
	OK(net_link_set_mtu(near, POD_DEVICE, MTU_INSIDE, &err));
	OK(net_link_set_up(near, POD_DEVICE, true, &err));
	OK(net_open_in(place[POD], &sock, &err));
	OK(net_link_by_name(sock, device, &link, &err));
	OK(net_link_rename(sock, link.ifindex, "eth0", &err));
	OK(net_link_set_mac(sock, link.ifindex, ep.mac, &err));
	OK(net_link_set_mtu(sock, link.ifindex, MTU_INSIDE, &err));
	ifindex = up(sock, "eth0");
	for (int i = 0; i < 2; i++) {
		add_address(sock, ifindex, address[POD][i], i ? 128 : 32);
		add_route(sock, route_to(ifindex, NULL, gateway[i]));
		add_neighbour(sock, ifindex, gateway[i], ep.host_mac);
		add_route(near, route_to(POD_DEVICE, address[POD][i], NULL));
		add_neighbour(near, POD_DEVICE, address[POD][i], ep.mac);
	}
}

/* As `ip tunnel add`: ioctls of net/ipv4/ip_tunnel.c and net/ipv6/sit.c, on the device that the
 * module puts into each namespace. */
static void add_tunnel(const char *base, const char *name, __u8 protocol)
{
	struct ip_tunnel_parm parm = { .iph = { .version = 4,
						.ihl = 5,
						.ttl = 64,
						.frag_off = htons(0x4000),
						.protocol = protocol,
						.saddr = inet_addr("192.168.7.2"),
						.daddr = inet_addr("192.168.7.1") } };
	struct ifreq request = { .ifr_ifru.ifru_data = (void *)&parm };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(parm.name, sizeof(parm.name), "%s", name);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", base);
	if (ioctl(fd, SIOCADDTUNNEL, &request))
		fail_msg("%s: %s", name, strerror(errno));
	close(fd);
}

static void build_far(void)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	_cleanup_net_ struct net_sock *sock = NULL;

	OK(netns_enter(place[FAR], &token, &err));
	OK(net_open(&sock, &err));
	add_address(sock, up(sock, "ub"), "192.168.7.2", 24);
	add_tunnel("tunl0", far_device[0], IPPROTO_IPIP);
	add_tunnel("sit0", far_device[1], IPPROTO_IPV6);
	for (int i = 0; i < 2; i++) {
		int ifindex = up(sock, far_device[i]);

		add_address(sock, ifindex, address[FAR][i], i ? 128 : 32);
		add_route(sock, route_to(ifindex, address[POD][i], NULL));
	}
	/* What answers node 1 itself goes into the tunnel too, as a pod's node would send it. */
	assert_int_equal(system("ip rule add from 10.65.2.2 lookup 100 &&"
				"ip route add default dev far4 table 100 &&"
				"ip -6 rule add from fd65:2::2 lookup 100 &&"
				"ip -6 route add default dev far6 table 100"),
			 0);
}

static void build_near(struct net_sock *sock)
{
	struct net_veth veth = {
		.name = "ua", .peer_name = "ub", .peer_netns = place[FAR], .mtu = MTU
	};
	struct net_route route;
	int ifindex;

	OK(net_veth_create(sock, &veth, &err));
	ifindex = up(sock, "ua");
	add_address(sock, ifindex, address[NEAR][0], 24);
	add_address(sock, ifindex, address[NEAR][1], 64);
	OK(netns_sysctl_set("ipv4/ip_forward", "1", &err));
	OK(netns_sysctl_set("ipv6/conf/all/forwarding", "1", &err));
	/* As the agent writes them for a remote block. */
	route = route_to(ifindex, address[FAR][0], "192.168.7.2");
	route.src = fixture_addr(address[NEAR][0]);
	route.mtu = MTU_INSIDE;
	add_route(sock, route);
	route = route_to(ifindex, address[FAR][1], "fd07::2");
	route.src = fixture_addr(address[NEAR][1]);
	route.mtu = MTU_INSIDE;
	add_route(sock, route);
	add_neighbour(sock, ifindex, "fd07::2", (const __u8[6]){ 2, 2, 2, 2, 2, 2 });
}

/* --- rows and programs ------------------------------------------------------------------- */
static void know(const char *text, __u16 identity, __u16 node, __u16 slot, __u16 flags)
{
	fixture_ident(&fx, text,
		      (struct mg_ident){
			      .identity = identity, .node = node, .slot = slot, .flags = flags });
}

static void write_rows(int uplink)
{
	const __u16 pool = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL | MG_ADDR_IPIP;
	const struct mg_uplink row = { .mtu = MTU,
				       .ip4 = fixture_addr(address[NEAR][0]),
				       .ip6 = fixture_addr(address[NEAR][1]) };
	const struct mg_peer peer = { .ip4 = fixture_addr("192.168.7.2"),
				      .way4 = { .ifindex = (__u32)uplink, .mtu = MTU },
				      .flags = MG_PEER_KNOWN };

	fx.local.node = 1;
	fx.local.ip4 = row.ip4;
	fx.local.flags = MG_LOCAL_IPIP;
	fx.local.mtu_ipip = MTU_INSIDE;
	fixture_local(&fx);
	fixture_put_at(&fx, "mg_uplinks", (__u32)uplink, &row);
	fixture_put_at(&fx, "mg_peers", 2, &peer);
	fixture_pod(&fx, SLOT, address[POD][0], address[POD][1], 4);
	for (int i = 0; i < 2; i++) {
		know(address[POD][i], 4, 1, SLOT, pool | MG_ADDR_LOCAL);
		know(address[FAR][i], 5, 2, 0, pool);
		know(address[NEAR][i], 0, 1, 0, MG_ADDR_HOST | MG_ADDR_LOCAL);
	}
	know("192.168.7.2", 0, 2, 0, MG_ADDR_HOST);
}

static void attach(int ifindex, enum mg_hook in, enum mg_hook out)
{
	const struct dp_attach_ops *ops;

	OK(dp_attach_pick(DP_ATTACH_AUTO, &ops, &err));
	OK(ops->attach(ifindex, DP_INGRESS, fixture_program(&fx, in), &err));
	OK(ops->attach(ifindex, DP_EGRESS, fixture_program(&fx, out), &err));
}

static bool have_tunnels(void)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;

	OK(netns_enter(place[FAR], &token, &err));
	return if_nametoindex("tunl0") && if_nametoindex("sit0");
}

/* TCP sizes its packets by the pace it sees (tcp_tso_autosize()), and a busy guest's is slow: 44
 * segments where the congestion window has them, whatever else the machine does. */
static void large_packets(void)
{
	for (int i = 0; i < NODES; i++) {
		_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;

		OK(netns_enter(place[i], &token, &err));
		OK(netns_sysctl_set("ipv4/tcp_min_tso_segs", "44", &err));
	}
}

static bool built;

static int build(void **state)
{
	const struct mg_config config = dp_config_default().mg;
	_cleanup_net_ struct net_sock *sock = NULL;
	struct net_link link;
	char root[PATH_MAX];

	(void)state;
	OK(sandbox_enter(root));
	place[NEAR] = here();
	place[POD] = make_place();
	place[FAR] = make_place();
	if (!have_tunnels())
		return 0;
	OK(net_open(&sock, &err));
	up(sock, "lo");
	large_packets();
	build_near(sock);
	build_far();
	fixture_open(&fx, &config, 65536);
	OK(net_link_by_name(sock, "ua", &link, &err));
	write_rows(link.ifindex);
	build_pod(sock);
	attach(link.ifindex, MG_HOOK_FROM_NETDEV, MG_HOOK_TO_NETDEV);
	attach(POD_DEVICE, MG_HOOK_FROM_POD, MG_HOOK_TO_POD);
	built = true;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (built)
		fixture_close(&fx);
	for (int i = 0; i < NODES; i++)
		close(place[i]);
	return 0;
}

/* --- cases ------------------------------------------------------------------------------- */
static void offload(bool on)
{
	static const char *const device[NODES] = { "ua", "eth0", "ub" };

	for (int i = 0; i < NODES; i++) {
		_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;

		OK(netns_enter(place[i], &token, &err));
		OK(net_feature_set(device[i], "tx-checksum-ip-generic", on, &err));
		OK(net_feature_set(device[i], "tx-tcp-segmentation", on, &err));
		OK(net_feature_set(device[i], "tx-tcp6-segmentation", on, &err));
	}
}

static void tell_drops(void)
{
	for (int hook = 0; hook < MG_HOOK_MAX; hook++)
		for (int reason = 1; reason < MG_DROP_MAX; reason++) {
			__u64 count = fixture_drops(&fx, hook, reason).packets;

			if (count)
				print_message("# dropped at hook %d: %llu for %s\n", hook,
					      (unsigned long long)count,
					      fixture_reason_name(reason));
		}
}

/* Both ways through the tunnel, and nothing beside it. */
static void talk(enum node from, enum node to, int version6, bool large)
{
	struct traffic_end ends[2] = { { place[from], fixture_addr(address[from][version6]) },
				       { place[to], fixture_addr(address[to][version6]) } };
	struct traffic_seen seen = { 0 };
	unsigned int bytes = large ? OFFLOAD_BYTES : SOFTWARE_BYTES;
	int r, watch = traffic_watch(place[FAR], "ub");

	r = traffic_ping(&ends[0], &ends[1]);
	if (!r)
		r = traffic_stream(&ends[0], &ends[1], bytes, watch, &seen);
	close(watch);
	if (r)
		tell_drops();
	assert_int_equal(r, 0);
	assert_true(seen.tunnelled[0] > 0 && seen.tunnelled[1] > 0);
	assert_int_equal(seen.bare, 0);
	print_message("# %s to %s: largest frames %u and %u\n", address[from][version6],
		      address[to][version6], seen.longest[0], seen.longest[1]);
	for (int way = 0; way < 2; way++)
		if (large)
			assert_true(seen.longest[way] > 10 * MTU); /* 64 KiB, usually */
		else
			assert_true(seen.longest[way] <= MTU + 14);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(traffic_bad_sums(place[i]), 0);
}

static void each(int version6, bool large)
{
	if (!built)
		sandbox_skip("this kernel has no ipip and sit devices");
	offload(large);
	talk(POD, FAR, version6, large);
	talk(FAR, POD, version6, large);
	talk(NEAR, FAR, version6, large);
}

static void ipip_offload(void **state)
{
	(void)state;
	each(0, true);
}

static void ipip_software(void **state)
{
	(void)state;
	each(0, false);
}

static void sit_offload(void **state)
{
	(void)state;
	each(1, true);
}

static void sit_software(void **state)
{
	(void)state;
	each(1, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipip_offload),
		cmocka_unit_test(ipip_software),
		cmocka_unit_test(sit_offload),
		cmocka_unit_test(sit_software),
	};

	return cmocka_run_group_tests_name("ipip", tests, build, tear_down);
}
