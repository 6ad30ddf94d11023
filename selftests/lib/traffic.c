/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/netns.h"

#define PATTERN 65521U /* prime: no segment size divides it */
#define CHUNK 65536U
#define PING_TRIES 40
#define PING_PAUSE 500
#define WATCH_BUFFER (8 << 20)

struct peer {
	struct sockaddr_storage addr;
	socklen_t size;
	int family;
};

static bool is_v4(const union mg_addr *addr)
{
	return !addr->d[0] && addr->w[2] == htonl(0xffff);
}

static struct peer peer_of(const union mg_addr *addr, __u16 port)
{
	struct peer peer = { 0 };

	if (is_v4(addr)) {
		struct sockaddr_in *in = (void *)&peer.addr;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = addr->w[3];
		peer.size = sizeof(*in);
	} else {
		struct sockaddr_in6 *in = (void *)&peer.addr;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, addr, sizeof(in->sin6_addr));
		peer.size = sizeof(*in);
	}
	peer.family = peer.addr.ss_family;
	return peer;
}

/* A socket of the end's namespace, bound to its address. */
static int socket_at(const struct traffic_end *end, int type, int protocol, __u16 port)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	struct peer own = peer_of(&end->addr, port);
	_cleanup_close_ int fd = -1;
	int r = netns_enter(end->netns, &token, NULL);

	if (r)
		return r;
	fd = socket(own.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0 || bind(fd, (void *)&own.addr, own.size))
		return -errno;
	return TAKE_FD(fd);
}

/* --- ping -------------------------------------------------------------------------------- */
static __u16 internet_sum(const void *data, size_t size)
{
	const __u16 *half = data;
	__u32 sum = 0;

	for (size_t i = 0; i < size / 2; i++)
		sum += half[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static bool is_answer(int fd, bool v4, __u16 id)
{
	unsigned char packet[256], *icmp = packet + (v4 ? 20 : 0);
	ssize_t size;

	while ((size = recv(fd, packet, sizeof(packet), 0)) > 0) {
		__u16 got;

		if (size < (v4 ? 28 : 8))
			continue;
		memcpy(&got, icmp + 4, sizeof(got));
		if (icmp[0] == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && got == id)
			return true;
	}
	return false;
}

int traffic_ping(const struct traffic_end *from, const struct traffic_end *to)
{
	bool v4 = is_v4(&to->addr);
	struct icmphdr request[8] = { { .type = v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST } };
	_cleanup_close_ int fd =
		socket_at(from, SOCK_RAW, v4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6, 0);
	struct peer peer = peer_of(&to->addr, 0);
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return fd;
	request[0].un.echo.id = (__u16)getpid();
	if (v4) /* the kernel fills in ICMPv6's */
		request[0].checksum = internet_sum(request, sizeof(request));
	for (int i = 0; i < PING_TRIES; i++) {
		(void)sendto(fd, request, sizeof(request), 0, (void *)&peer.addr, peer.size);
		poll(&wait, 1, PING_PAUSE);
		if (is_answer(fd, v4, request[0].un.echo.id))
			return 0;
	}
	return -ETIMEDOUT;
}

/* --- what crosses the underlay ----------------------------------------------------------- */
int traffic_watch(int netns, const char *device)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	_cleanup_close_ int fd = -1;
	int size = WATCH_BUFFER, r = netns_enter(netns, &token, NULL);

	if (r)
		return r;
	at.sll_ifindex = (int)if_nametoindex(device);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    bind(fd, (void *)&at, sizeof(at)))
		return -errno;
	return TAKE_FD(fd);
}

static void look_at(const unsigned char *frame, unsigned int length, int way,
		    struct traffic_seen *seen)
{
	unsigned int type = (unsigned int)(frame[12] << 8 | frame[13]);

	if (type == ETH_P_IP && (frame[23] == IPPROTO_IPIP || frame[23] == IPPROTO_IPV6)) {
		seen->tunnelled[way]++;
		if (length > seen->longest[way])
			seen->longest[way] = length;
	} else if (type == ETH_P_IP || (type == ETH_P_IPV6 && frame[20] == IPPROTO_TCP)) {
		seen->bare++;
	}
}

static void watch_turn(int watch, struct traffic_seen *seen)
{
	unsigned char frame[64];
	struct sockaddr_ll from;

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t length =
			recvfrom(watch, frame, sizeof(frame), MSG_TRUNC, (void *)&from, &size);

		if (length < 0)
			return;
		look_at(frame, (unsigned int)length, from.sll_pkttype == PACKET_OUTGOING, seen);
	}
}

/* --- stream ------------------------------------------------------------------------------ */
static const unsigned char *pattern(void)
{
	static unsigned char bytes[PATTERN + CHUNK];
	__u32 next = 0;

	if (!bytes[1]) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			if (i % PATTERN == 0)
				next = 1;
			next = next * 1664525 + 1013904223;
			bytes[i] = (unsigned char)(next >> 24) | 1;
		}
	}
	return bytes;
}

/* Sends, or receives and compares, as much as goes at once. */
static int move(int fd, unsigned int *done, unsigned int bytes, bool out)
{
	static unsigned char got[CHUNK];
	const unsigned char *want = pattern() + *done % PATTERN;
	unsigned int some = bytes - *done < CHUNK ? bytes - *done : CHUNK;
	ssize_t size = out ? send(fd, want, some, MSG_NOSIGNAL) : recv(fd, got, some, 0);

	if (size < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (!out && (!size || memcmp(got, want, (size_t)size) != 0))
		return -EBADMSG;
	*done += (unsigned int)size;
	return 0;
}

static int carry(int out, int in, unsigned int bytes, int watch, struct traffic_seen *seen)
{
	unsigned int sent = 0, got = 0;

	while (got < bytes) {
		struct pollfd wait[3] = { { .fd = in, .events = POLLIN },
					  { .fd = sent < bytes ? out : -1, .events = POLLOUT },
					  { .fd = watch, .events = POLLIN } };
		int r = poll(wait, 3, TRAFFIC_PATIENCE);

		if (r <= 0)
			return r ? -errno : -ETIMEDOUT;
		if (wait[2].revents)
			watch_turn(watch, seen);
		r = wait[1].revents ? move(out, &sent, bytes, true) : 0;
		if (!r && wait[0].revents)
			r = move(in, &got, bytes, false);
		if (r)
			return r;
	}
	return 0;
}

/* The accepted end, if it is from's address that the receiver sees. */
static int take_caller(int listener, const union mg_addr *from)
{
	struct pollfd wait = { .fd = listener, .events = POLLIN };
	struct peer want = peer_of(from, 0), got = { .size = sizeof(got.addr) };
	_cleanup_close_ int fd = -1;

	if (poll(&wait, 1, TRAFFIC_PATIENCE) <= 0)
		return -ETIMEDOUT;
	fd = accept4(listener, (void *)&got.addr, &got.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (want.family == AF_INET)
		((struct sockaddr_in *)&got.addr)->sin_port = 0;
	else
		((struct sockaddr_in6 *)&got.addr)->sin6_port = 0;
	if (got.size != want.size || memcmp(&got.addr, &want.addr, want.size) != 0)
		return -EBADMSG;
	return TAKE_FD(fd);
}

int traffic_stream(const struct traffic_end *from, const struct traffic_end *to, unsigned int bytes,
		   int watch, struct traffic_seen *seen)
{
	static __u16 port = 7000;
	_cleanup_close_ int listener = socket_at(to, SOCK_STREAM, 0, ++port);
	_cleanup_close_ int near = socket_at(from, SOCK_STREAM, 0, 0), far = -1;
	struct peer peer = peer_of(&to->addr, port);
	int r;

	if (listener < 0 || near < 0)
		return listener < 0 ? listener : near;
	if (listen(listener, 1) ||
	    (connect(near, (void *)&peer.addr, peer.size) && errno != EINPROGRESS))
		return -errno;
	far = take_caller(listener, &from->addr);
	if (far < 0)
		return far;
	r = carry(near, far, bytes, watch, seen);
	return r ? r : carry(far, near, bytes, watch, seen);
}

/* --- counters ---------------------------------------------------------------------------- */
/* The last column of the second line that begins so: InCsumErrors, in /proc/net/snmp. */
static int last_column(const char *name)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/net/snmp", "re");
	char line[1024], *last;
	int seen = 0;

	while (file && fgets(line, sizeof(line), file)) {
		last = strrchr(line, ' ');
		if (!strncmp(line, name, strlen(name)) && last && seen++)
			return atoi(last);
	}
	return -ENOENT;
}

int traffic_bad_sums(int netns)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	int r = netns_enter(netns, &token, NULL);

	return r ? r : last_column("Tcp:");
}
