// SPDX-License-Identifier: Apache-2.0
/* loader/dataplane/shape.h: packets through the token bucket and the ifb device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "dataplane/netlink.h"
#include "dataplane/shape.h"
#include "selftests/lib/link_test.h"

#define FRAME 1000
#define TYPE 0x88b5 /* IEEE 802: local experiments */

/* The host's end is a, the pod's is b. */
static int setup(void **state)
{
	struct link_test *f;

	link_test_setup(state);
	f = *state;
	link_test_wait_running(f, f->a);
	link_test_wait_running(f, f->b);
	return 0;
}

static int packet_socket(int ifindex)
{
	const struct sockaddr_ll here = { .sll_family = AF_PACKET,
					  .sll_protocol = htons(TYPE),
					  .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&here, sizeof(here)), 0);
	return fd;
}

/* How many of count frames, sent at once at one device, arrive at the other within 50 ms. */
static int send_through(int from, int to, int count)
{
	static __u8 turn; /* what an earlier turn left in a queue does not count */
	__u8 frame[FRAME] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	int out = packet_socket(from), in = packet_socket(to), got = 0;
	struct pollfd fd = { .fd = in, .events = POLLIN };

	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 255;
	frame[14] = ++turn;
	for (int i = 0; i < count; i++)
		(void)!send(out, frame, sizeof(frame), 0);
	while (poll(&fd, 1, 50) > 0 && recv(in, frame, sizeof(frame), 0) > 0)
		got += frame[14] == turn;
	close(out);
	close(in);
	return got;
}

/* 10 kB/s with a burst of 3,000 bytes and 25 ms of queue: of twenty frames of 1,000 bytes some pass
 * at once, most cannot. */
static const struct net_rate slow = { .rate = 10000, .burst = 3000 };

static void bucket_limits(void **state)
{
	struct link_test *f = *state;
	const struct net_rate fast = { .rate = 5000000000ULL, .burst = 1 << 20 };

	assert_int_equal(send_through(f->a, f->b, 20), 20);
	OK(f, net_tbf_set(f->sock, f->a, &slow, &f->err));
	assert_in_range(send_through(f->a, f->b, 20), 1, 6);
	OK(f, net_tbf_set(f->sock, f->a, &fast, &f->err)); /* replaced; beyond 32 bits */
	assert_int_equal(send_through(f->a, f->b, 20), 20);
}

static void ifb_sees_what_the_pod_sends(void **state)
{
	struct link_test *f = *state;
	int ifb, again;

	OK(f, net_ifb_create(f->sock, "bw0", 1500, &ifb, &f->err));
	assert_int_equal(net_ifb_create(f->sock, "bw0", 1500, &again, &f->err), -EEXIST);
	OK(f, net_ifb_divert(f->sock, f->a, ifb, &f->err));
	/* ifb hands them back as if they had just come in at the host's side */
	assert_int_equal(send_through(f->b, f->a, 10), 10);
	OK(f, net_tbf_set(f->sock, ifb, &slow, &f->err));
	assert_in_range(send_through(f->b, f->a, 20), 1, 6);
	OK(f, net_link_delete(f->sock, ifb, &f->err));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, link_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bucket_limits),
		CASE(ifb_sees_what_the_pod_sends),
	};

	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
