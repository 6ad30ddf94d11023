/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a policy's file to the first packet with the new verdict. A UDP packet goes from one pod
 * to another every 100 microseconds; both sockets are this process's, so each packet's verdict is
 * known at once. In turn one of two contents is renamed onto the target, and the time from before
 * the rename to the sending of the first packet that fares otherwise is a line of output: "allow
 * NANOSECONDS" or "deny NANOSECONDS". The target holds the denying content at the start.
 *
 *   verdict NODE_PID CLIENT_PID SERVER_PID ADDRESS PORT TARGET DENY_FILE ALLOW_FILE ROUNDS
 *
 * Paths are of the node's mount namespace.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 100000L
#define PATIENCE 100000 /* steps: 10 s */
#define SETTLED 5	/* packets of one verdict in a row */

static void __attribute__((noreturn)) die(const char *what)
{
	perror(what);
	exit(1);
}

static void enter(const char *pid, const char *kind, int type)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, type))
		die(path);
	close(fd);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void rest(long nanoseconds)
{
	const struct timespec time = { .tv_nsec = nanoseconds };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* One packet: did it arrive? */
static bool arrives(int client, int server)
{
	char byte = 'v';

	if (send(client, &byte, 1, 0) != 1 && errno != ECONNREFUSED && errno != EPERM)
		die("send");
	return recv(server, &byte, 1, MSG_DONTWAIT) == 1;
}

static size_t read_file(const char *path, char *ret_text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_text, size);

	if (n <= 0)
		die(path);
	close(fd);
	return (size_t)n;
}

/* A hidden file beside the target, which nobody reads before it has its name. */
static void prepare(const char *temporary, const char *text, size_t length)
{
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length || close(fd))
		die(temporary);
}

static void wait_verdict(int client, int server, bool want, long long *ret_first)
{
	int settled = 0;

	for (int i = 0; i < PATIENCE; i++) {
		long long sent = now();

		if (arrives(client, server) != want) {
			settled = 0;
		} else {
			if (!settled++)
				*ret_first = sent;
			if (settled == SETTLED)
				return;
		}
		rest(STEP_NS);
	}
	fprintf(stderr, "no %s within 10 s\n", want ? "allow" : "deny");
	exit(1);
}

static void sockets(char **argv, int *ret_client, int *ret_server)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((in_port_t)atoi(argv[5])) };

	if (inet_pton(AF_INET, argv[4], &to.sin_addr) != 1)
		die(argv[4]);
	enter(argv[3], "net", CLONE_NEWNET);
	*ret_server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(*ret_server, (struct sockaddr *)&to, sizeof(to)))
		die("bind");
	enter(argv[2], "net", CLONE_NEWNET);
	*ret_client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(*ret_client, (struct sockaddr *)&to, sizeof(to)))
		die("connect");
}

static void rounds(char **argv, int client, int server)
{
	char text[2][4096], temporary[4096];
	size_t length[2] = { read_file(argv[7], text[0], sizeof(text[0])),
			     read_file(argv[8], text[1], sizeof(text[1])) };
	long long first, begin;
	const char *slash = strrchr(argv[6], '/');

	if (!slash)
		die("target without folder");
	snprintf(temporary, sizeof(temporary), "%.*s/.next", (int)(slash - argv[6]), argv[6]);
	wait_verdict(client, server, false, &first);
	for (int i = 0; i < atoi(argv[9]); i++) {
		bool allow = i % 2 == 0;

		prepare(temporary, text[allow], length[allow]);
		/* past the grace of the change before, at no fixed phase */
		rest(30000000L + rand() % 20000000L);
		begin = now();
		if (rename(temporary, argv[6]))
			die("rename");
		wait_verdict(client, server, allow, &first);
		printf("%s %lld\n", allow ? "allow" : "deny", first - begin);
	}
}

int main(int argc, char **argv)
{
	int client, server;

	if (argc != 10) {
		fputs("usage: verdict NODE CLIENT SERVER ADDRESS PORT TARGET DENY ALLOW ROUNDS\n",
		      stderr);
		return 2;
	}
	sockets(argv, &client, &server);
	enter(argv[1], "mnt", CLONE_NEWNS);
	rounds(argv, client, server);
	return 0;
}
