/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time of an exchange between two network namespaces: one process, pinned to one core, owns
 * the client's socket in one and the server's in the other, so that nothing of a scheduler is in
 * the figure and every softirq between them runs on this process's account.
 *
 *   rr MODE CLIENT_PID SERVER_PID CLIENT_ADDRESS SERVER_ADDRESS PORT MILLISECONDS
 *
 * MODE: tcp_rr and udp_rr, one byte there and one back; crr, a connection for each; stream,
 * 64 KiB written and read. Prints "OPERATIONS CPU_NANOSECONDS" (stream: an operation is 1 MiB).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 65536
#define MIB 1048576.0
#define WARM_UP 64

struct ends {
	struct sockaddr_in client;
	struct sockaddr_in server;
	int client_ns;
	int server_ns;
	int listener;
	int from; /* the client's socket */
	int to;	  /* the server's */
};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	int error = errno;
	va_list list;

	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, ": %s\n", strerror(error));
	exit(1);
}

static int open_ns(const char *pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static struct sockaddr_in address(const char *text, int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((in_port_t)port) };

	if (inet_pton(AF_INET, text, &addr.sin_addr) != 1)
		die("%s", text);
	return addr;
}

/* A socket that lives in this namespace; nothing waits longer than five seconds. */
static int open_socket(int ns, int type, const struct sockaddr_in *local)
{
	const struct timeval patience = { .tv_sec = 5 };
	int fd, one = 1;

	if (setns(ns, CLONE_NEWNET))
		die("setns");
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		die("socket");
	if (bind(fd, (const struct sockaddr *)local, sizeof(*local)))
		die("bind");
	return fd;
}

static void no_delay(int fd)
{
	int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		die("TCP_NODELAY");
}

static void ping_pong(const struct ends *ends)
{
	char byte = 'm';

	if (send(ends->from, &byte, 1, 0) != 1 || recv(ends->to, &byte, 1, 0) != 1 ||
	    send(ends->to, &byte, 1, 0) != 1 || recv(ends->from, &byte, 1, 0) != 1)
		die("no answer");
}

static void tcp_connect(struct ends *ends)
{
	if (connect(ends->from, (struct sockaddr *)&ends->server, sizeof(ends->server)))
		die("connect");
	ends->to = accept4(ends->listener, NULL, NULL, SOCK_CLOEXEC);
	if (ends->to < 0)
		die("accept");
	no_delay(ends->from);
	no_delay(ends->to);
}

static void connection(struct ends *ends)
{
	ends->from = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ends->from < 0 ||
	    bind(ends->from, (struct sockaddr *)&ends->client, sizeof(ends->client)))
		die("socket");
	tcp_connect(ends);
	ping_pong(ends);
	/* the server first: TIME-WAIT stays with it, the client's port is free again */
	close(ends->to);
	close(ends->from);
}

/* As much as the window takes, then all of it out again. */
static size_t pump(const struct ends *ends)
{
	static char buffer[CHUNK];
	size_t sent = 0, got = 0;
	ssize_t n;

	while (sent < 4 * CHUNK) {
		n = send(ends->from, buffer, CHUNK, sent ? MSG_DONTWAIT : 0);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			die("send");
		sent += (size_t)n;
	}
	while (got < sent) {
		n = recv(ends->to, buffer, CHUNK, 0);
		if (n <= 0)
			die("recv");
		got += (size_t)n;
	}
	return got;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double operation(const char *mode, struct ends *ends)
{
	if (!strcmp(mode, "crr"))
		connection(ends);
	else if (!strcmp(mode, "stream"))
		return (double)pump(ends) / MIB;
	else
		ping_pong(ends);
	return 1;
}

static void prepare(const char *mode, struct ends *ends)
{
	int type = strcmp(mode, "udp_rr") ? SOCK_STREAM : SOCK_DGRAM;

	if (type == SOCK_DGRAM) {
		ends->to = open_socket(ends->server_ns, type, &ends->server);
		ends->from = open_socket(ends->client_ns, type, &ends->client);
		socklen_t length = sizeof(ends->client);

		if (connect(ends->from, (struct sockaddr *)&ends->server, sizeof(ends->server)) ||
		    getsockname(ends->from, (struct sockaddr *)&ends->client, &length) ||
		    connect(ends->to, (struct sockaddr *)&ends->client, length))
			die("connect");
		return;
	}
	ends->listener = open_socket(ends->server_ns, type, &ends->server);
	if (listen(ends->listener, 16))
		die("listen");
	if (strcmp(mode, "crr")) {
		ends->from = open_socket(ends->client_ns, type, &ends->client);
		tcp_connect(ends);
	} else if (setns(ends->client_ns, CLONE_NEWNET)) {
		die("setns");
	}
}

static void pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

int main(int argc, char **argv)
{
	struct ends ends = { 0 };
	double operations = 0, begin, end;

	if (argc != 8) {
		fputs("usage: rr MODE CLIENT_PID SERVER_PID CLIENT SERVER PORT MILLISECONDS\n",
		      stderr);
		return 2;
	}
	pin();
	ends.client_ns = open_ns(argv[2]);
	ends.server_ns = open_ns(argv[3]);
	ends.client = address(argv[4], 0);
	ends.server = address(argv[5], atoi(argv[6]));
	prepare(argv[1], &ends);
	for (int i = 0; i < WARM_UP; i++)
		operation(argv[1], &ends);
	begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
	end = begin + atoi(argv[7]) / 1000.0;
	while (seconds(CLOCK_PROCESS_CPUTIME_ID) < end)
		operations += operation(argv[1], &ends);
	printf("%.3f %.0f\n", operations, 1e9 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - begin));
	return 0;
}
