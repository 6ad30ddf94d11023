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

#define FRAME 1000
#define TYPE 0x88b5 /* IEEE 802: local experiments */

struct fixture {
	struct net_sock *sock;
	struct err err;
	int host;
	int pod;
};

#define OK(fixture, expression)                                                                    \
	do {                                                                                       \
		int _r = (expression);                                                             \
		if (_r)                                                                            \
			fail_msg("%s: %d, %s", #expression, _r, (fixture)->err.text);              \
	} while (0)

/* A device passes packets only once the kernel's link watch has seen its carrier. */
static void wait_running(struct fixture *f, int ifindex)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct net_link link = { 0 };

	for (int i = 0; i < 2000 && !(link.flags & IFF_RUNNING); i++) {
		nanosleep(&pause, NULL);
		OK(f, net_link_get(f->sock, ifindex, &link, &f->err));
	}
	assert_true(link.flags & IFF_RUNNING);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct net_veth veth = { .name = "host", .peer_name = "pod", .peer_netns = -1 };
	struct net_link link;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	OK(f, net_open(&f->sock, &f->err));
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, "host", &link, &f->err));
	f->host = link.ifindex;
	f->pod = link.peer;
	OK(f, net_link_set_up(f->sock, f->host, true, &f->err));
	OK(f, net_link_set_up(f->sock, f->pod, true, &f->err));
	wait_running(f, f->host);
	wait_running(f, f->pod);
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
	struct fixture *f = *state;
	const struct net_rate fast = { .rate = 5000000000ULL, .burst = 1 << 20 };

	assert_int_equal(send_through(f->host, f->pod, 20), 20);
	OK(f, net_tbf_set(f->sock, f->host, &slow, &f->err));
	assert_in_range(send_through(f->host, f->pod, 20), 1, 6);
	OK(f, net_tbf_set(f->sock, f->host, &fast, &f->err)); /* replaced; beyond 32 bits */
	assert_int_equal(send_through(f->host, f->pod, 20), 20);
}

static void ifb_sees_what_the_pod_sends(void **state)
{
	struct fixture *f = *state;
	int ifb, again;

	OK(f, net_ifb_create(f->sock, "bw0", 1500, &ifb, &f->err));
	assert_int_equal(net_ifb_create(f->sock, "bw0", 1500, &again, &f->err), -EEXIST);
	OK(f, net_ifb_divert(f->sock, f->host, ifb, &f->err));
	/* ifb hands them back as if they had just come in at the host's side */
	assert_int_equal(send_through(f->pod, f->host, 10), 10);
	OK(f, net_tbf_set(f->sock, ifb, &slow, &f->err));
	assert_in_range(send_through(f->pod, f->host, 20), 1, 6);
	OK(f, net_link_delete(f->sock, ifb, &f->err));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bucket_limits),
		CASE(ifb_sees_what_the_pod_sends),
	};

	return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
