/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"

#define RETRY_MS 50 /* between two tries to connect */

static bool too_deep(const json_t *tree, int room)
{
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(tree) && !json_is_array(tree))
		return false;
	if (!room)
		return true;
	json_array_foreach((json_t *)tree, i, value) {
		if (too_deep(value, room - 1))
			return true;
	}
	json_object_foreach((json_t *)tree, key, value) {
		if (too_deep(value, room - 1))
			return true;
	}
	return false;
}

int rpc_decode(const char *text, size_t size, size_t limit, json_t **ret_tree, struct err *err)
{
	_cleanup_json_ json_t *tree = NULL;
	json_error_t error;

	if (size > limit)
		return err_set(err, -EMSGSIZE, "%zu bytes, at most %zu", size, limit);
	tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!tree)
		return err_set(err, -EBADMSG, "line %d, column %d: %s", error.line, error.column,
			       error.text);
	if (!json_is_object(tree))
		return err_set(err, -EBADMSG, "not a JSON object");
	if (too_deep(tree, RPC_DEPTH_MAX))
		return err_set(err, -EBADMSG, "nested deeper than %d", RPC_DEPTH_MAX);
	*ret_tree = TAKE_PTR(tree);
	return 0;
}

int rpc_encode(const json_t *tree, size_t limit, char **ret_line, size_t *ret_size)
{
	size_t size = json_dumpb(tree, NULL, 0, JSON_COMPACT);
	char *line;

	if (size + 1 > limit)
		return -EMSGSIZE;
	line = xmalloc(size + 2);
	if (json_dumpb(tree, line, size, JSON_COMPACT) != size) {
		free(line);
		return -EBADMSG;
	}
	line[size] = '\n';
	line[size + 1] = 0;
	*ret_line = line;
	*ret_size = size + 1;
	return 0;
}

json_t *rpc_failure(int code, const char *msg, const char *details)
{
	return json_pack("{s:b, s:i, s:s, s:s*}", "ok", 0, "code", code, "msg", msg, "details",
			 details);
}

long long rpc_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int make_address(const char *path, struct sockaddr_un *ret_address)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	*ret_address = address;
	return 0;
}

/* -EAGAIN (a full backlog) is retried like an absent listener. */
static int connect_once(const struct sockaddr_un *address, int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int rpc_listen(const char *path, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1, probe = -1;
	struct sockaddr_un address;
	mode_t mask;
	int r;

	r = make_address(path, &address);
	if (r < 0)
		return err_errno(err, r, "%s", path);
	if (connect_once(&address, &probe) == 0)
		return err_set(err, -EADDRINUSE, "%s: somebody already listens there", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, -errno, "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, -errno, "socket");
	/* By umask, so that there is no moment in which others may connect. */
	mask = umask(0177);
	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (!r && listen(fd, 1024) < 0)
		r = -errno;
	if (r < 0)
		return err_errno(err, r, "%s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int rpc_peer_check(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	return peer.uid == geteuid() ? 0 : -EPERM;
}

static int wait_for(int fd, short events, long long deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	long long left = deadline - rpc_now();
	int r;

	if (left <= 0)
		return -ETIMEDOUT;
	r = poll(&poll_fd, 1, left > 3600000 ? 3600000 : (int)left);
	if (r < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static int send_line(int fd, const char *line, size_t size, long long deadline)
{
	while (size) {
		ssize_t n = send(fd, line, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			line += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Until the newline. What follows it is not read: one answer a connection. */
static int receive_line(int fd, char *line, long long deadline, size_t *ret_size)
{
	size_t used = 0;

	while (used < RPC_LINE_MAX) {
		ssize_t n = recv(fd, line + used, RPC_LINE_MAX - used, 0);
		const char *end;

		if (n < 0 && errno == EAGAIN) {
			int r = wait_for(fd, POLLIN, deadline);

			if (r < 0)
				return r;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -ECONNRESET;
		end = memchr(line + used, '\n', (size_t)n);
		used += (size_t)n;
		if (end) {
			*ret_size = (size_t)(end - line) + 1;
			return 0;
		}
	}
	return -EMSGSIZE;
}

static int call_once(const struct sockaddr_un *address, const char *line, size_t size,
		     long long deadline, json_t **ret_answer)
{
	_cleanup_free_ char *answer = NULL;
	_cleanup_close_ int fd = -1;
	size_t got = 0;
	int r;

	r = connect_once(address, &fd);
	if (r < 0)
		return r;
	r = send_line(fd, line, size, deadline);
	if (r < 0)
		return r;
	answer = xmalloc(RPC_LINE_MAX);
	r = receive_line(fd, answer, deadline, &got);
	if (r < 0)
		return r;
	return rpc_decode(answer, got, RPC_LINE_MAX, ret_answer, NULL);
}

static bool worth_retry(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -ECONNRESET || r == -EPIPE ||
	       r == -EAGAIN;
}

int rpc_call(const struct rpc_call *call, json_t **ret_answer, struct err *err)
{
	const struct timespec pause = { .tv_nsec = RETRY_MS * 1000000L };
	_cleanup_free_ char *line = NULL;
	struct sockaddr_un address;
	bool heard = false;
	size_t size;
	int r;

	r = make_address(call->path, &address);
	if (r < 0)
		return err_errno(err, r, "%s", call->path);
	r = rpc_encode(call->request, RPC_LINE_MAX, &line, &size);
	if (r < 0)
		return err_errno(err, r, "%s: request", call->path);
	for (;;) {
		r = call_once(&address, line, size, call->deadline, ret_answer);
		heard = heard || (r != -ENOENT && r != -ECONNREFUSED);
		if (!call->retry || !worth_retry(r) || rpc_now() + RETRY_MS >= call->deadline)
			break;
		nanosleep(&pause, NULL);
	}
	/* A listener that came and went may have acted on the request. */
	if (heard && (r == -ENOENT || r == -ECONNREFUSED))
		r = -ECONNRESET;
	return r < 0 ? err_errno(err, r, "%s", call->path) : 0;
}
