// SPDX-License-Identifier: Apache-2.0
/* The event part of loader/dataplane/netlink.h against the kernel, in a namespace of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/inet.h"
#include "dataplane/netlink.h"

struct fixture {
	struct net_sock *sock;
	int a; /* veth ends, both here: 10.9.0.1/24 and fd09::1/64 on a */
	int b;
	struct err err;
};

#define OK(fixture, expression)                                                                    \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, (fixture)->err.text);              \
	} while (0)

static union mg_addr addr(const char *text)
{
	union mg_addr out;

	assert_int_equal(addr_parse(text, &out), 0);
	return out;
}

static struct mg_prefix prefix(const char *text)
{
	struct mg_prefix out;

	assert_int_equal(prefix_parse(text, true, &out), 0);
	return out;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct net_veth veth = { .name = "va", .peer_name = "vb", .peer_netns = -1 };
	struct net_link link;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	OK(f, net_open(&f->sock, &f->err));
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, "va", &link, &f->err));
	f->a = link.ifindex;
	f->b = link.peer;
	OK(f, net_link_set_up(f->sock, f->a, true, &f->err));
	OK(f, net_link_set_up(f->sock, f->b, true, &f->err));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	net_close(f->sock);
	test_free(f);
	return 0;
}

struct seen {
	unsigned int kinds[NET_EVENT_RESYNC + 1];
	unsigned int gone;
	char link[IFNAMSIZ];
};

static void on_event(const struct net_event *event, void *data)
{
	struct seen *seen = data;

	seen->kinds[event->kind]++;
	seen->gone += event->removed;
	if (event->kind == NET_EVENT_LINK && !event->removed && event->link.kind[0])
		snprintf(seen->link, sizeof(seen->link), "%s", event->link.name);
}

static void monitor(void **state)
{
	struct fixture *f = *state;
	_cleanup_(net_monitor_close_p) struct net_monitor *events = NULL;
	struct net_neigh neigh = { .ifindex = f->a, .addr = addr("10.9.0.7") };
	struct net_route route = { .dst = prefix("10.1.0.0/16"), .ifindex = f->a };
	struct net_addr address = { f->a, addr("192.0.2.9"), .bits = 32 };
	struct seen seen = { 0 };

	OK(f, net_monitor_open(on_event, &seen, &events, &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_int_equal(seen.kinds[NET_EVENT_LINK], 0);
	OK(f, net_route_add(f->sock, &route, &f->err));
	OK(f, net_neigh_set(f->sock, &neigh, &f->err));
	OK(f, net_addr_add(f->sock, &address, &f->err));
	OK(f, net_link_rename(f->sock, f->b, "news", &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_int_equal(seen.kinds[NET_EVENT_ADDR], 1);
	assert_int_equal(seen.kinds[NET_EVENT_NEIGH], 1);
	assert_true(seen.kinds[NET_EVENT_ROUTE] >= 1);
	assert_true(seen.kinds[NET_EVENT_LINK] >= 1);
	assert_string_equal(seen.link, "news");
	assert_int_equal(seen.gone, 0);
	OK(f, net_link_delete(f->sock, f->a, &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_true(seen.gone >= 2); /* both ends, and what hung on them */
}

static void monitor_overflow(void **state)
{
	struct fixture *f = *state;
	_cleanup_(net_monitor_close_p) struct net_monitor *events = NULL;
	struct seen seen = { 0 };
	const int bytes = 4096;

	OK(f, net_monitor_open(on_event, &seen, &events, &f->err));
	assert_int_equal(setsockopt(net_monitor_fd(events), SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
				    sizeof(bytes)),
			 0);
	for (int i = 0; i < 50; i++)
		OK(f, net_link_set_mtu(f->sock, f->a, 1400 - (__u32)i, &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_true(seen.kinds[NET_EVENT_RESYNC] >= 1);
	OK(f, net_link_rename(f->sock, f->b, "after", &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_string_equal(seen.link, "after");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(monitor),
		CASE(monitor_overflow),
	};

	return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
