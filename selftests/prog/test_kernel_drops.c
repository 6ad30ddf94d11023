/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel drops: a datagram to a port where nobody listens, in a namespace of the test's
 * own. Whose drops are told, with which names and bytes, and what a flood costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/node.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/kernel_drops.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/netns.h"
#include "selftests/lib/sandbox.h"

#define SLOT 5
#define PORT 4711
#define LOOPBACK 1 /* ifindex of lo in every namespace */
#define WAIT_MS 2000
#define TEXT "who is there"
#define UDP_BYTES (8 + sizeof(TEXT) - 1)
#define KEPT 64

static struct {
	struct err err;
	struct dp *dp;
	struct dp_kernel_drops *drops;
	__u64 cookie;
	struct mg_kdrop kept[KEPT];
	unsigned long count;
} t;

#define OK(expression)                                                                             \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, t.err.text);                       \
	} while (0)

static void on_drop(const struct mg_kdrop *drop, void *data)
{
	(void)data;
	if (t.count < KEPT)
		t.kept[t.count] = *drop;
	t.count++;
}

static void lift_loopback(void)
{
	struct net_sock *net;

	OK(net_open(&net, &t.err));
	OK(net_link_set_up(net, LOOPBACK, true, &t.err));
	net_close(net);
}

/* All programs once: they are what takes the time. */
static int group_setup(void **state)
{
	struct dp_config config = dp_config_default();
	char root[PATH_MAX];

	(void)state;
	OK(sandbox_enter(root));
	config.root = root;
	config.mg.slots = 64;
	OK(dp_open(&config, &t.dp, &t.err));
	lift_loopback();
	OK(netns_own_cookie(&t.cookie, &t.err));
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	dp_close(t.dp);
	return 0;
}

/* What is watched, and what was told, is each case's own. */
static int setup(void **state)
{
	(void)state;
	t.count = 0;
	OK(dp_kernel_drops_open(t.dp, on_drop, NULL, &t.drops, &t.err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dp_kernel_drops_close(t.drops);
	return 0;
}

static void send_to(const char *address, unsigned int times)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };

	assert_int_equal(inet_pton(AF_INET6, address, &to.sin6_addr), 1);
	for (unsigned int i = 0; i < times; i++) {
		/* A fresh socket each: the answer, port unreachable, would be the next call's
		 * error. */
		int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		assert_int_equal(
			sendto(fd, TEXT, sizeof(TEXT) - 1, 0, (struct sockaddr *)&to, sizeof(to)),
			sizeof(TEXT) - 1);
		close(fd);
	}
}

/* Records come from the same processor, before sendto() returns. */
static void read_all(void)
{
	int r;

	do {
		r = dp_kernel_drops_read(t.drops, 16);
		assert_true(r >= 0);
	} while (r);
}

/* The datagram's own record: closing sockets and answers leave others. */
static const struct mg_kdrop *find(struct mg_event *event)
{
	read_all();
	for (unsigned long i = 0; i < t.count && i < KEPT; i++) {
		dp_kernel_drop_event(&t.kept[i], event);
		if (event->dport == htons(PORT) && event->proto == IPPROTO_UDP)
			return &t.kept[i];
	}
	return NULL;
}

static void a_pods_drop_is_told(void **state)
{
	char text[DP_KERNEL_REASON_TEXT], addr[ADDR_TEXT_MAX];
	const struct mg_kdrop *drop;
	struct mg_event event;

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie, SLOT));
	send_to("::ffff:127.0.0.1", 1);
	drop = find(&event);
	assert_non_null(drop);
	assert_string_equal(dp_kernel_drops_reason(t.drops, drop->reason, text), "NO_SOCKET");
	assert_non_null(strstr(drop->function, "udp"));
	assert_int_equal(drop->slot, SLOT);
	assert_int_equal(drop->ifindex, LOOPBACK);
	assert_int_equal(drop->length, 20 + UDP_BYTES);
	assert_int_equal(drop->captured, 20 + UDP_BYTES);
	assert_memory_equal(drop->data + 28, TEXT, sizeof(TEXT) - 1);
	assert_string_equal(addr_format(&event.dst, addr), "127.0.0.1");
	assert_int_equal(event.family, 4);
	assert_true(event.sport != 0);
	assert_true(event.time > 0);
}

static void ipv6_too(void **state)
{
	const struct mg_kdrop *drop;
	char addr[ADDR_TEXT_MAX];
	struct mg_event event;

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie, SLOT));
	send_to("::1", 1);
	drop = find(&event);
	assert_non_null(drop);
	assert_int_equal(drop->length, 40 + UDP_BYTES);
	assert_int_equal(drop->captured, 40 + UDP_BYTES);
	assert_string_equal(addr_format(&event.src, addr), "::1");
	assert_int_equal(event.family, 6);
}

static void other_namespaces_are_not(void **state)
{
	struct mg_event event;

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie + 1000, SLOT));
	send_to("::ffff:127.0.0.1", 3);
	assert_null(find(&event));
	OK(dp_kernel_drops_watch(t.drops, t.cookie, SLOT));
	OK(dp_kernel_drops_forget(t.drops, t.cookie));
	send_to("::ffff:127.0.0.1", 3);
	assert_null(find(&event));
	assert_int_equal(t.count, 0);
}

/* On the node itself by interface: uplinks and pods' ends, not whatever runs on it. */
static void of_the_node_only_what_carries_pods(void **state)
{
	const struct dp_map *uplinks = dp_get_map(t.dp, "mg_uplinks");
	const struct mg_uplink row = { .mtu = 65536 };
	const __u32 ifindex = LOOPBACK;
	struct mg_event event;

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie, 0));
	send_to("::ffff:127.0.0.1", 3);
	assert_null(find(&event));
	OK(dp_map_set(uplinks, &ifindex, &row));
	send_to("::ffff:127.0.0.1", 1);
	assert_non_null(find(&event));
	OK(dp_map_delete(uplinks, &ifindex));
}

static void a_flood_is_counted(void **state)
{
	const unsigned int sent = 3000;

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie, SLOT));
	send_to("::ffff:127.0.0.1", sent);
	read_all();
	assert_true(t.count >= 128);
	assert_true(t.count < sent);
	assert_true(t.count + dp_kernel_drops_missed(t.drops) >= sent);
	assert_int_equal(dp_kernel_drops_missed(t.drops), 0);
}

static void wakes_its_reader(void **state)
{
	struct pollfd poll_fd = { .fd = dp_kernel_drops_fd(t.drops), .events = POLLIN };

	(void)state;
	OK(dp_kernel_drops_watch(t.drops, t.cookie, SLOT));
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	send_to("::ffff:127.0.0.1", 1);
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
}

static void names_of_reasons(void **state)
{
	char text[DP_KERNEL_REASON_TEXT];

	(void)state;
	assert_string_equal(dp_kernel_drops_reason(t.drops, 0xfffe, text), "65534");
	assert_string_not_equal(dp_kernel_drops_reason(t.drops, 2, text), "2");
}

/* With what an agent keeps after its start. Last: the process cannot go back. */
static void with_an_agents_privileges(void **state)
{
	struct dp_kernel_drops *second;
	struct mg_event event;

	(void)state;
	OK(sandbox_drop());
	OK(dp_kernel_drops_open(t.dp, on_drop, NULL, &second, &t.err));
	OK(dp_kernel_drops_watch(second, t.cookie, SLOT));
	dp_kernel_drops_close(t.drops);
	t.drops = second;
	send_to("::ffff:127.0.0.1", 1);
	assert_non_null(find(&event));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pods_drop_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(ipv6_too, setup, teardown),
		cmocka_unit_test_setup_teardown(other_namespaces_are_not, setup, teardown),
		cmocka_unit_test_setup_teardown(of_the_node_only_what_carries_pods, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_flood_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(wakes_its_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(with_an_agents_privileges, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
