// SPDX-License-Identifier: Apache-2.0
/* loader/dataplane/detect.h against the kernel, in a namespace of this process: each of Calico's
 * methods finds the address it says, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/inet.h"
#include "dataplane/detect.h"
#include "selftests/lib/link_test.h"

static void add_link(struct link_test *f, const char *name, int ifindex)
{
	char peer[IFNAMSIZ];
	const struct net_veth veth = {
		.name = name, .peer_name = peer, .ifindex = ifindex, .peer_netns = f->pod
	};

	snprintf(peer, sizeof(peer), "p%d", ifindex);
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_set_up(f->sock, ifindex, true, &f->err));
}

static void add_addr(struct link_test *f, int ifindex, const char *text)
{
	const struct mg_prefix prefix = test_prefix(text);
	const struct net_addr addr = { .ifindex = ifindex,
				       .addr = prefix.addr,
				       .bits = (__u8)prefix_bits(&prefix) };

	OK(f, net_addr_add(f->sock, &addr, &f->err));
}

/* In the order of their indexes: docker0, eth0, eth1, ens5, and eth9, which is down. */
static int setup(void **state)
{
	static const struct {
		const char *name;
		const char *addrs[3];
	} links[] = {
		{ "docker0", { "172.17.0.1/16" } },
		{ "eth0", { "10.1.0.5/24", "10.1.0.6/24", "fd01::5/64" } },
		{ "eth1", { "10.2.0.5/24", "192.0.2.7/32" } },
		{ "ens5", { "10.3.0.5/16", "fd03::5/48" } },
		{ "eth9", { "10.9.0.5/24" } },
	};
	struct link_test *f;

	link_test_setup(state);
	f = *state;
	OK(f, net_link_set_up(f->sock, 1, true, &f->err));
	for (int i = 0; i < 5; i++) {
		add_link(f, links[i].name, 2000 + i);
		for (int j = 0; j < 3 && links[i].addrs[j]; j++)
			add_addr(f, 2000 + i, links[i].addrs[j]);
	}
	OK(f, net_link_set_up(f->sock, 2004, false, &f->err));
	return 0;
}

/* "10.1.0.5/24", or the code of the failure. */
static const char *found(struct link_test *f, const char *method, bool v6, const char *internal)
{
	struct detect_ask ask = { .sock = f->sock, .v6 = v6 };
	_cleanup_detect_ struct detect *detect = NULL;
	static char text[PREFIX_TEXT_MAX + 4];
	char address[ADDR_TEXT_MAX];
	struct net_addr addr;
	int r;

	if (internal)
		ask.internal = test_addr(internal);
	r = detect_parse(method, &detect, &f->err);
	if (!r)
		r = detect_address(detect, &ask, &addr, &f->err);
	if (r)
		return strerror(-r);
	snprintf(text, sizeof(text), "%s/%u", addr_format(&addr.addr, address), addr.bits);
	return text;
}

#define FINDS(method, v6, expected) assert_string_equal(found(f, method, v6, NULL), expected)
#define NONE(method, v6) FINDS(method, v6, strerror(ENOENT))

static void by_interface(void **state)
{
	struct link_test *f = *state;

	FINDS("first-found", false, "10.1.0.5/24");
	FINDS("first-found", true, "fd01::5/64");
	FINDS("interface=eth1", false, "10.2.0.5/24");
	NONE("interface=eth1", true);
	FINDS("interface=ens.*", true, "fd03::5/48");
	FINDS("interface=^e.*", false, "10.1.0.5/24");
	/* the order of interfaces, not of patterns; and what first-found leaves out may be named */
	FINDS("interface=ens5, eth1", false, "10.2.0.5/24");
	FINDS("interface=docker", false, "172.17.0.1/16");
	NONE("interface=eth9", false);
	NONE("interface=wlan0", false);
	FINDS("skip-interface=eth0", false, "10.2.0.5/24");
	FINDS("skip-interface=eth.*", false, "10.3.0.5/16");
	FINDS("skip-interface=eth0,eth1", true, "fd03::5/48");
	NONE("skip-interface=eth.*,ens.*", false);
}

static void by_network(void **state)
{
	struct link_test *f = *state;

	FINDS("cidr=10.3.0.0/16", false, "10.3.0.5/16");
	FINDS("cidr=10.3.0.0/16,10.2.0.0/16", false, "10.2.0.5/24");
	FINDS("cidr=192.0.2.0/24", false, "192.0.2.7/32");
	FINDS("cidr=172.16.0.0/12", false, "172.17.0.1/16");
	FINDS("cidr=10.0.0.0/8 , fd03::/16", true, "fd03::5/48");
	NONE("cidr=10.0.0.0/8", true);
	NONE("cidr=10.9.0.0/16", false);
}

static void by_reach(void **state)
{
	struct link_test *f = *state;

	FINDS("can-reach=10.2.0.77", false, "10.2.0.5/24");
	FINDS("can-reach=fd03::77", true, "fd03::5/48");
	FINDS("can-reach=10.3.0.5", false, "10.3.0.5/16");
	NONE("can-reach=10.2.0.77", true);
	NONE("can-reach=198.51.100.1", false);
}

static void by_node(void **state)
{
	struct link_test *f = *state;

	assert_string_equal(found(f, "kubernetes-internal-ip", false, "10.2.0.5"), "10.2.0.5/24");
	assert_string_equal(found(f, "kubernetes-internal-ip", true, "fd03::5"), "fd03::5/48");
	/* of an address that is on no interface (behind a translation) it is the host's */
	assert_string_equal(found(f, "kubernetes-internal-ip", false, "203.0.113.9"),
			    "203.0.113.9/32");
	NONE("kubernetes-internal-ip", false);
}

static void refused(void **state)
{
	static const struct {
		const char *method, *words;
	} cases[] = {
		{ "", "no way to find an address" },
		{ "second-found", "\"second-found\"" },
		{ "first-found=eth0", "no way" },
		{ "kubernetes-internal-ip4", "no way" },
		{ "interface", "no way" },
		{ "interface=", "an empty item" },
		{ "interface=eth0,,eth1", "an empty item" },
		{ "skip-interface=eth[", "\"eth[\" is no regular expression" },
		{ "cidr=10.0.0.0", "\"10.0.0.0\" is no network" },
		{ "cidr=10.0.0.0/33", "no network" },
		{ "can-reach=", "no destination" },
	};
	struct link_test *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct detect *detect = NULL;

		assert_int_equal(detect_parse(cases[i].method, &detect, &f->err), -EINVAL);
		assert_null(detect);
		if (!strstr(f->err.text, cases[i].words))
			fail_msg("%s: \"%s\"", cases[i].method, f->err.text);
	}
}

static void resolved(void **state)
{
	struct link_test *f = *state;
	struct detect *detect = NULL;

	FINDS("can-reach=localhost", false, "127.0.0.1/8");
	assert_int_equal(detect_parse("can-reach=no-such-host.invalid", &detect, &f->err),
			 -EADDRNOTAVAIL);
	assert_non_null(strstr(f->err.text, "no-such-host.invalid"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, link_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(by_interface), CASE(by_network), CASE(by_reach),
		CASE(by_node),	    CASE(refused),    CASE(resolved),
	};

	return cmocka_run_group_tests_name("detect", tests, NULL, NULL);
}
