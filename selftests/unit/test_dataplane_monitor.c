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
#include "selftests/lib/link_test.h"

struct seen {
	unsigned int kinds[NET_EVENT_RESYNC + 1];
	unsigned int gone;
	const char *name; /* of a link ... */
	bool named;	  /* ... of which an event told */
};

static void on_event(const struct net_event *event, void *data)
{
	struct seen *seen = data;

	seen->kinds[event->kind]++;
	seen->gone += event->removed;
	/* The kernel tells of a link's state when it has time: behind it, too. */
	if (event->kind == NET_EVENT_LINK && !event->removed)
		seen->named |= !strcmp(event->link.name, seen->name);
}

static void monitor(void **state)
{
	struct link_test *f = *state;
	_cleanup_(net_monitor_close_p) struct net_monitor *events = NULL;
	struct net_neigh neigh = { .ifindex = f->a, .addr = test_addr("10.9.0.7") };
	struct net_route route = { .dst = test_prefix("10.1.0.0/16"), .ifindex = f->a };
	struct net_addr address = { f->a, test_addr("192.0.2.9"), .bits = 32 };
	struct seen seen = { .name = "news" };

	OK(f, net_monitor_open(on_event, &seen, &events, &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_false(seen.named);
	OK(f, net_route_add(f->sock, &route, &f->err));
	OK(f, net_neigh_set(f->sock, &neigh, &f->err));
	OK(f, net_addr_add(f->sock, &address, &f->err));
	OK(f, net_link_rename(f->sock, f->b, "news", &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_int_equal(seen.kinds[NET_EVENT_ADDR], 1);
	assert_int_equal(seen.kinds[NET_EVENT_NEIGH], 1);
	assert_true(seen.kinds[NET_EVENT_ROUTE] >= 1);
	assert_true(seen.kinds[NET_EVENT_LINK] >= 1);
	assert_true(seen.named);
	assert_int_equal(seen.gone, 0);
	OK(f, net_link_delete(f->sock, f->a, &f->err));
	OK(f, net_monitor_read(events, 0, &f->err));
	assert_true(seen.gone >= 2); /* both ends, and what hung on them */
}

static void monitor_overflow(void **state)
{
	struct link_test *f = *state;
	_cleanup_(net_monitor_close_p) struct net_monitor *events = NULL;
	struct seen seen = { .name = "after" };
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
	assert_true(seen.named);
}

#define CASE(function)                                                                             \
	cmocka_unit_test_setup_teardown(function, link_test_setup, link_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(monitor),
		CASE(monitor_overflow),
	};

	return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
