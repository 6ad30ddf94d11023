/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/rpc.h"

#define PROTOCOL_VERSION 1

static int open_socket(const char *path, int *ret_fd, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes",
			       path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return err_set(err, -errno, "%s: no margay-agent runs on this node", path);
		return err_errno(err, -errno, "%s", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_all(int fd, const char *line, size_t size)
{
	while (size) {
		ssize_t n = send(fd, line, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		line += n;
		size -= (size_t)n;
	}
	return 0;
}

static int receive_line(int fd, char **ret_line, size_t *ret_size)
{
	long long deadline = rpc_now() + AGENT_TIMEOUT_MS;
	_cleanup_free_ char *line = NULL;
	size_t used = 0, room = 0;

	while (!used || line[used - 1] != '\n') {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		long long left = deadline - rpc_now();
		ssize_t n;

		if (left <= 0 || !poll(&pfd, 1, (int)left))
			return -ETIMEDOUT;
		if (used == AGENT_ANSWER_MAX)
			return -EMSGSIZE;
		if (used == room) {
			room = room ? room * 2 : 65536;
			line = xrealloc(line, room, 1);
		}
		n = recv(fd, line + used, room - used, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		used += (size_t)n;
	}
	*ret_line = TAKE_PTR(line);
	*ret_size = used;
	return 0;
}

static json_t *whole_request(const char *op, const json_t *request)
{
	json_t *whole = json_pack("{s:i, s:s}", "version", PROTOCOL_VERSION, "op", op);

	if (request)
		json_object_update_missing(whole, (json_t *)request);
	return whole;
}

static const char *socket_of(const struct ctl *ctl)
{
	return ctl->socket ? ctl->socket : CTL_SOCKET;
}

static int open_and_send(const char *path, const json_t *request, int *ret_fd, struct err *err)
{
	_cleanup_free_ char *line = NULL;
	_cleanup_close_ int fd = -1;
	size_t size;
	int r = open_socket(path, &fd, err);

	if (r < 0)
		return r;
	r = rpc_encode(request, AGENT_REQUEST_MAX, &line, &size);
	if (!r)
		r = send_all(fd, line, size);
	if (r < 0)
		return err_errno(err, r, "%s: the agent does not answer", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int refusal(const json_t *answer, const char *op, struct err *err)
{
	return err_set(err, -EPROTO, "the agent refuses \"%s\": %s%s%s", op,
		       json_text_or(answer, "msg", "no reason given"),
		       json_text_at(answer, "details") ? ": " : "",
		       json_text_or(answer, "details", ""));
}

int agent_stream(struct ctl *ctl, const char *op, const json_t *request,
		 const struct agent_reader *reader, struct err *err)
{
	_cleanup_json_ json_t *whole = whole_request(op, request);
	_cleanup_fclose_ FILE *lines = NULL;
	_cleanup_free_ char *text = NULL;
	bool more = true;
	size_t room = 0;
	int fd, r = open_and_send(socket_of(ctl), whole, &fd, err);

	if (r < 0)
		return r;
	lines = fdopen(fd, "re");
	if (!lines)
		abort();
	while (more) {
		_cleanup_json_ json_t *line = NULL;
		ssize_t size = getline(&text, &room, lines);

		if (size < 0)
			return err_set(err, -ECONNRESET, "the agent ended the connection");
		r = rpc_decode(text, (size_t)size, RPC_LINE_MAX, &line, err);
		if (r < 0)
			return r;
		if (json_is_false(json_object_get(line, "ok")))
			return refusal(line, op, err);
		more = reader->function(reader->context, line);
	}
	return 0;
}

static int exchange(const char *path, const json_t *request, json_t **ret_answer, struct err *err)
{
	_cleanup_free_ char *answer = NULL;
	_cleanup_close_ int fd = -1;
	size_t size = 0;
	int r = open_and_send(path, request, &fd, err);

	if (r < 0)
		return r;
	r = receive_line(fd, &answer, &size);
	if (r < 0)
		return err_errno(err, r, "%s: the agent does not answer", path);
	r = rpc_decode(answer, size, AGENT_ANSWER_MAX, ret_answer, err);
	return r < 0 ? err_wrap(err, r, "%s: answer", path) : 0;
}

int agent_call(struct ctl *ctl, const char *op, const json_t *request, json_t **ret_answer,
	       struct err *err)
{
	_cleanup_json_ json_t *whole = whole_request(op, request), *answer = NULL;
	int r = exchange(socket_of(ctl), whole, &answer, err);

	if (r < 0)
		return r;
	if (!json_is_true(json_object_get(answer, "ok")))
		return refusal(answer, op, err);
	*ret_answer = TAKE_PTR(answer);
	return 0;
}
