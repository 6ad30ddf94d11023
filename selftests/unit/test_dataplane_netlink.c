// SPDX-License-Identifier: Apache-2.0
/* loader/dataplane/netlink.h and netns.h against the kernel, in namespaces of this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/inet.h"
#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "selftests/lib/link_test.h"

static const __u8 mac_a[6] = { 0x02, 0, 0, 0, 0, 1 };
static const __u8 mac_b[6] = { 0x02, 0, 0, 0, 0, 2 };

/* 10.9.0.1/24 and fd09::1/64 on a. */
static int setup(void **state)
{
	struct link_test *f;

	link_test_setup(state);
	f = *state;
	OK(f, net_addr_add(f->sock, &(struct net_addr){ f->a, test_addr("10.9.0.1"), .bits = 24 },
			   &f->err));
	OK(f, net_addr_add(f->sock, &(struct net_addr){ f->a, test_addr("fd09::1"), .bits = 64 },
			   &f->err));
	return 0;
}

static void veth_into_namespace(void **state)
{
	struct link_test *f = *state;
	struct net_veth veth = { .name = "cali0",
				 .peer_name = "eth0",
				 .ifindex = 1000007,
				 .mtu = 1400,
				 .peer_netns = f->pod,
				 .mac = mac_a,
				 .peer_mac = mac_b };
	_cleanup_net_ struct net_sock *pod = NULL;
	struct net_link host, peer;

	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, "cali0", &host, &f->err));
	assert_int_equal(host.ifindex, 1000007);
	assert_string_equal(host.kind, "veth");
	assert_int_equal(host.mtu, 1400);
	assert_memory_equal(host.mac, mac_a, 6);
	assert_true(host.peer_netns >= 0);
	OK(f, net_open_in(f->pod, &pod, &f->err));
	OK(f, net_link_by_name(pod, "eth0", &peer, &f->err));
	assert_int_equal(peer.ifindex, host.peer);
	assert_int_equal(peer.mtu, 1400);
	assert_memory_equal(peer.mac, mac_b, 6);
	assert_int_equal(net_link_by_name(f->sock, "eth0", &peer, &f->err), -ENODEV);

	veth.peer_name = "eth1";
	veth.ifindex = 0;
	assert_int_equal(net_veth_create(f->sock, &veth, &f->err), -EEXIST);
	assert_non_null(strstr(f->err.text, "cali0"));
	veth.name = "cali1";
	veth.ifindex = 1000007;
	assert_int_equal(net_veth_create(f->sock, &veth, &f->err), -EBUSY);
	OK(f, net_link_delete(f->sock, host.ifindex, &f->err));
	assert_int_equal(net_link_by_name(pod, "eth0", &peer, &f->err), -ENODEV);
}

static void link_changes(void **state)
{
	struct link_test *f = *state;
	struct net_link link;

	OK(f, net_link_set_mtu(f->sock, f->a, 1300, &f->err));
	OK(f, net_link_set_mac(f->sock, f->a, mac_b, &f->err));
	OK(f, net_link_set_txqlen(f->sock, f->a, 77, &f->err));
	OK(f, net_link_set_alias(f->sock, f->a, "namespace/pod", &f->err));
	OK(f, net_link_set_up(f->sock, f->a, false, &f->err));
	OK(f, net_link_rename(f->sock, f->a, "renamed", &f->err));
	OK(f, net_link_get(f->sock, f->a, &link, &f->err));
	assert_int_equal(link.mtu, 1300);
	assert_int_equal(link.txqlen, 77);
	assert_memory_equal(link.mac, mac_b, 6);
	assert_false(link.flags & IFF_UP);
	assert_string_equal(link.name, "renamed");
	assert_int_equal(net_link_by_name(f->sock, "va", &link, &f->err), -ENODEV);
	assert_int_equal(net_link_by_name(f->sock, "sixteen-letters-", &link, &f->err), -EINVAL);
	assert_int_equal(net_link_set_mtu(f->sock, f->a, 1, &f->err), -EINVAL);
	assert_int_equal(net_link_delete(f->sock, 4711, &f->err), -ENODEV);
	OK(f, net_link_set_netns(f->sock, f->a, f->pod, &f->err));
	assert_int_equal(net_link_get(f->sock, f->a, &link, &f->err), -ENODEV);
}

static void link_list(void **state)
{
	struct link_test *f = *state;
	_cleanup_free_ struct net_link *links = NULL;
	struct net_veth veth = { .peer_netns = -1 };
	char name[16], peer[16];
	size_t count;

	/* more than one packet of answers */
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		snprintf(peer, sizeof(peer), "y%d", i);
		veth.name = name;
		veth.peer_name = peer;
		OK(f, net_veth_create(f->sock, &veth, &f->err));
	}
	OK(f, net_link_list(f->sock, &links, &count, &f->err));
	assert_int_equal(count, 1 + 2 + 200); /* lo, va, vb */
	assert_string_equal(links[0].name, "lo");
}

static void addresses(void **state)
{
	struct link_test *f = *state;
	struct net_addr one = { f->b, test_addr("192.0.2.1"), .bits = 32 };
	struct net_addr six = { f->b, test_addr("2001:db8::1"), .bits = 128 };
	_cleanup_free_ struct net_addr *list = NULL;
	size_t count, seen = 0;

	OK(f, net_addr_add(f->sock, &one, &f->err));
	OK(f, net_addr_add(f->sock, &one, &f->err));
	OK(f, net_addr_add(f->sock, &six, &f->err));
	OK(f, net_addr_list(f->sock, f->b, &list, &count, &f->err));
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&list[i].addr, &one.addr)) {
			assert_int_equal(list[i].bits, 32);
			assert_true(list[i].flags & IFA_F_PERMANENT);
			seen++;
		}
		if (!addr_cmp(&list[i].addr, &six.addr)) {
			assert_int_equal(list[i].bits, 128);
			assert_true(list[i].flags & IFA_F_PERMANENT);
			assert_true(list[i].flags & IFA_F_NODAD);
			assert_false(list[i].flags & IFA_F_TENTATIVE);
			seen++;
		}
	}
	assert_int_equal(seen, 2);
	OK(f, net_addr_delete(f->sock, &one, &f->err));
	OK(f, net_addr_delete(f->sock, &one, &f->err));
	one.ifindex = 4711;
	assert_int_equal(net_addr_add(f->sock, &one, &f->err), -ENODEV);
	assert_non_null(strstr(f->err.text, "192.0.2.1/32"));
}

static const struct net_route *find(const struct net_route *routes, size_t count, const char *text)
{
	struct mg_prefix want = test_prefix(text);

	for (size_t i = 0; i < count; i++) {
		if (!memcmp(&routes[i].dst, &want, sizeof(want)))
			return &routes[i];
	}
	return NULL;
}

static void routes(void **state)
{
	struct link_test *f = *state;
	const struct net_route wanted[] = {
		{ .dst = test_prefix("10.244.1.0/26"),
		  .gateway = test_addr("10.9.0.2"),
		  .mtu = 1480,
		  .src = test_addr("10.9.0.1"),
		  .ifindex = f->a,
		  .metric = 1024 },
		{ .dst = test_prefix("10.244.2.0/26"), .type = RTN_BLACKHOLE },
		{ .dst = test_prefix("0.0.0.0/0"),
		  .gateway = test_addr("10.9.0.3"),
		  .ifindex = f->a },
		{ .dst = test_prefix("10.244.3.7/32"), .ifindex = f->b },
		{ .dst = test_prefix("10.244.4.0/26"),
		  .gateway = test_addr("192.0.2.77"),
		  .ifindex = f->a,
		  .onlink = true },
		{ .dst = test_prefix("fd10:1::/122"),
		  .gateway = test_addr("fd09::2"),
		  .mtu = 1430,
		  .ifindex = f->a,
		  .metric = 1024 },
		{ .dst = test_prefix("fd10:2::/122"), .type = RTN_BLACKHOLE, .metric = 1024 },
		{ .dst = test_prefix("::/0"),
		  .gateway = test_addr("fd09::3"),
		  .ifindex = f->a,
		  .metric = 2048 },
	};
	const size_t total = sizeof(wanted) / sizeof(wanted[0]);
	_cleanup_free_ struct net_route *list = NULL;
	const struct net_route *got;
	char text[PREFIX_TEXT_MAX];
	size_t count;

	for (size_t i = 0; i < total; i++)
		OK(f, net_route_add(f->sock, &wanted[i], &f->err));
	assert_int_equal(net_route_add(f->sock, &wanted[0], &f->err), -EEXIST);
	OK(f, net_route_list(f->sock, NET_PROTOCOL, &list, &count, &f->err));
	assert_int_equal(count, total);
	for (size_t i = 0; i < total; i++) {
		got = find(list, count, prefix_format(&wanted[i].dst, text));
		assert_non_null(got);
		assert_int_equal(got->ifindex, wanted[i].ifindex);
		assert_int_equal(got->mtu, wanted[i].mtu);
		assert_int_equal(got->metric, wanted[i].metric);
		assert_int_equal(got->type, wanted[i].type ? wanted[i].type : RTN_UNICAST);
		assert_int_equal(got->protocol, 80);
		assert_int_equal(got->table, RT_TABLE_MAIN);
		assert_int_equal(got->onlink, wanted[i].onlink);
		assert_memory_equal(&got->gateway, &wanted[i].gateway, 16);
		assert_memory_equal(&got->src, &wanted[i].src, 16);
	}
	for (size_t i = 0; i < total; i++)
		OK(f, net_route_delete(f->sock, &wanted[i], &f->err));
	OK(f, net_route_delete(f->sock, &wanted[0], &f->err));
	free(list);
	OK(f, net_route_list(f->sock, NET_PROTOCOL, &list, &count, &f->err));
	assert_int_equal(count, 0);
}

static void route_replace_and_lookup(void **state)
{
	struct link_test *f = *state;
	struct net_route route = { .dst = test_prefix("10.244.0.0/24"),
				   .gateway = test_addr("10.9.0.2"),
				   .ifindex = f->a,
				   .src = test_addr("10.9.0.1") };
	struct net_route six = { .dst = test_prefix("fd10::/64"),
				 .gateway = test_addr("fd09::2"),
				 .ifindex = f->a,
				 .mtu = 1300 };
	union mg_addr to = test_addr("10.244.0.9"), to6 = test_addr("fd10::9"),
		      far = test_addr("203.0.113.1");
	struct net_route got;

	OK(f, net_route_replace(f->sock, &route, &f->err));
	OK(f, net_route_lookup(f->sock, &to, &got, &f->err));
	assert_int_equal(got.ifindex, f->a);
	assert_int_equal(got.mtu, 1500); /* the link's */
	assert_memory_equal(&got.gateway, &route.gateway, 16);
	assert_memory_equal(&got.src, &route.src, 16);
	route.gateway = test_addr("10.9.0.3");
	route.mtu = 1280;
	OK(f, net_route_replace(f->sock, &route, &f->err));
	OK(f, net_route_lookup(f->sock, &to, &got, &f->err));
	assert_int_equal(got.mtu, 1280);
	assert_memory_equal(&got.gateway, &route.gateway, 16);
	OK(f, net_route_replace(f->sock, &six, &f->err));
	OK(f, net_route_lookup(f->sock, &to6, &got, &f->err));
	assert_int_equal(got.mtu, 1300);
	assert_memory_equal(&got.gateway, &six.gateway, 16);
	assert_int_equal(net_route_lookup(f->sock, &far, &got, &f->err), -ENETUNREACH);
	route.gateway = test_addr("198.51.100.1");
	assert_int_equal(net_route_replace(f->sock, &route, &f->err), -ENETUNREACH);
	assert_non_null(strstr(f->err.text, "gateway")); /* the kernel's own words */
}

static void neighbours(void **state)
{
	struct link_test *f = *state;
	struct net_neigh four = { .ifindex = f->a, .addr = test_addr("10.9.0.7") };
	struct net_neigh six = { .ifindex = f->a, .addr = test_addr("fd09::7") };
	_cleanup_free_ struct net_neigh *list = NULL;
	size_t count, seen = 0;

	memcpy(four.mac, mac_b, 6);
	memcpy(six.mac, mac_b, 6);
	OK(f, net_neigh_set(f->sock, &four, &f->err));
	OK(f, net_neigh_set(f->sock, &four, &f->err));
	OK(f, net_neigh_set(f->sock, &six, &f->err));
	OK(f, net_neigh_list(f->sock, f->a, &list, &count, &f->err));
	for (size_t i = 0; i < count; i++) {
		if (addr_cmp(&list[i].addr, &four.addr) && addr_cmp(&list[i].addr, &six.addr))
			continue;
		assert_int_equal(list[i].state, NUD_PERMANENT);
		assert_memory_equal(list[i].mac, mac_b, 6);
		seen++;
	}
	assert_int_equal(seen, 2);
	OK(f, net_neigh_delete(f->sock, &four, &f->err));
	OK(f, net_neigh_delete(f->sock, &four, &f->err));
}

static void vxlan_device(void **state)
{
	struct link_test *f = *state;
	struct net_vxlan vxlan = { .port = 4789, .mac = mac_a };
	struct net_link link;
	int first, again, other;

	OK(f, net_vxlan_ensure(f->sock, &vxlan, &first, &f->err));
	OK(f, net_link_get(f->sock, first, &link, &f->err));
	assert_string_equal(link.name, DP_VXLAN_NAME);
	assert_string_equal(link.kind, "vxlan");
	assert_true(link.flags & IFF_UP);
	assert_memory_equal(link.mac, mac_a, 6);
	OK(f, net_vxlan_ensure(f->sock, &vxlan, &again, &f->err));
	assert_int_equal(again, first);
	vxlan.port = 8472;
	OK(f, net_vxlan_ensure(f->sock, &vxlan, &other, &f->err));
	assert_int_not_equal(other, first);
	vxlan.name = "va";
	assert_int_equal(net_vxlan_ensure(f->sock, &vxlan, &other, &f->err), -EEXIST);
}

static void features(void **state)
{
	struct link_test *f = *state;
	bool on = false;

	OK(f, net_feature_set("va", "tx-sctp-segmentation", true, &f->err));
	OK(f, net_feature_get("va", "tx-sctp-segmentation", &on, &f->err));
	assert_true(on);
	OK(f, net_feature_set("va", "tx-sctp-segmentation", false, &f->err));
	OK(f, net_feature_get("va", "tx-sctp-segmentation", &on, &f->err));
	assert_false(on);
	assert_int_equal(net_feature_set("va", "no-such-feature", false, &f->err), -ENOENT);
	assert_int_equal(net_feature_set("nodev", "tx-sctp-segmentation", false, &f->err), -ENODEV);
}

static void qdiscs(void **state)
{
	struct link_test *f = *state;
	_cleanup_free_ struct net_qdisc *list = NULL;
	size_t count;

	OK(f, net_qdisc_list(f->sock, f->a, &list, &count, &f->err));
	assert_int_equal(count, 1);
	assert_string_equal(list[0].kind, "noqueue");
}

static void namespaces(void **state)
{
	struct link_test *f = *state;
	_cleanup_close_ int here = link_test_netns();
	__u64 cookie = 0, pod = 0, twice = 0;
	char value[32];
	int fd;

	assert_int_equal(netns_is_current(here), 1);
	assert_int_equal(netns_is_current(f->pod), 0);
	OK(f, netns_cookie(here, &cookie, &f->err));
	OK(f, netns_cookie(f->pod, &pod, &f->err));
	OK(f, netns_cookie(f->pod, &twice, &f->err));
	assert_true(cookie && pod && cookie != pod && pod == twice);
	assert_int_equal(netns_is_current(here), 1);
	{
		_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;

		OK(f, netns_enter(f->pod, &token, &f->err));
		OK(f, netns_sysctl_set("ipv4/ip_forward", "1", &f->err));
	}
	OK(f, netns_sysctl_set("ipv4/ip_forward", "0", &f->err));
	OK(f, netns_sysctl_get("ipv4/ip_forward", value, sizeof(value), &f->err));
	assert_string_equal(value, "0");
	OK(f, netns_sysctl_set("ipv4/conf/va/forwarding", "1", &f->err));
	assert_int_equal(netns_sysctl_set("../kernel/hostname", "x", &f->err), -EINVAL);
	assert_int_equal(netns_sysctl_set("ipv4/no_such", "x", &f->err), -ENOENT);
	assert_int_equal(netns_open("/proc/self/ns/mnt", &fd, &f->err), -EINVAL);
	assert_int_equal(netns_open("/nonexistent", &fd, &f->err), -ENOENT);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, link_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(veth_into_namespace),
		CASE(link_changes),
		CASE(link_list),
		CASE(addresses),
		CASE(routes),
		CASE(route_replace_and_lookup),
		CASE(neighbours),
		CASE(vxlan_device),
		CASE(features),
		CASE(qdiscs),
		CASE(namespaces),
	};

	return cmocka_run_group_tests_name("netlink", tests, NULL, NULL);
}
