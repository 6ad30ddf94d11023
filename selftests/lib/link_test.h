/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of devices by netlink: a network namespace of this process with a veth pair, both ends
 * here and up, and a second namespace that is empty.
 */
#ifndef MARGAY_SELFTESTS_LINK_TEST_H
#define MARGAY_SELFTESTS_LINK_TEST_H

#include "abi/addr.h"
#include "base/err.h"
#include "dataplane/netlink.h"

struct link_test {
	struct net_sock *sock;
	int a; /* ifindex of the ends, va and vb */
	int b;
	int pod; /* descriptor of the second namespace */
	struct err err;
};

/* Set-up and teardown of a cmocka test, whose state becomes a struct link_test. */
int link_test_setup(void **state);
int link_test_teardown(void **state);

/* Descriptor of the namespace of this thread; the caller closes. */
int link_test_netns(void);
/* A device passes packets only once the kernel's link watch has seen its carrier. */
void link_test_wait_running(struct link_test *test, int ifindex);

union mg_addr test_addr(const char *text);
struct mg_prefix test_prefix(const char *text);

/* Fails the test with the library's own words; test has a member err. */
#define OK(test, expression)                                                                       \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, (test)->err.text);                 \
	} while (0)

#endif
