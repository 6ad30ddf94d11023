/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/link_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/inet.h"

union mg_addr test_addr(const char *text)
{
	union mg_addr out;

	assert_int_equal(addr_parse(text, &out), 0);
	return out;
}

struct mg_prefix test_prefix(const char *text)
{
	struct mg_prefix out;

	assert_int_equal(prefix_parse(text, true, &out), 0);
	return out;
}

int link_test_netns(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int link_test_setup(void **state)
{
	const struct net_veth veth = { .name = "va", .peer_name = "vb", .peer_netns = -1 };
	struct link_test *test = test_calloc(1, sizeof(*test));
	struct net_link link;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	test->pod = link_test_netns();
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	OK(test, net_open(&test->sock, &test->err));
	OK(test, net_veth_create(test->sock, &veth, &test->err));
	OK(test, net_link_by_name(test->sock, "va", &link, &test->err));
	test->a = link.ifindex;
	test->b = link.peer;
	OK(test, net_link_set_up(test->sock, test->a, true, &test->err));
	OK(test, net_link_set_up(test->sock, test->b, true, &test->err));
	*state = test;
	return 0;
}

int link_test_teardown(void **state)
{
	struct link_test *test = *state;

	net_close(test->sock);
	close(test->pod);
	test_free(test);
	return 0;
}

void link_test_wait_running(struct link_test *test, int ifindex)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct net_link link = { 0 };

	for (int i = 0; i < 2000 && !(link.flags & IFF_RUNNING); i++) {
		nanosleep(&pause, NULL);
		OK(test, net_link_get(test->sock, ifindex, &link, &test->err));
	}
	assert_true(link.flags & IFF_RUNNING);
}
