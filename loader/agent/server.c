/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rpc.h"

struct connection {
	struct server *server;
	struct bufferevent *io;
	struct server_call *call; /* being answered; at most one */
	struct connection *prev, *next;
};

/* Outlives its connection if the peer leaves before the answer. */
struct server_call {
	struct connection *connection; /* NULL: the peer has left */
	server_gone *gone;	       /* of a stream; NULL: one answer */
	void *context;
};

struct server {
	struct evconnlistener *listener;
	server_handler *handler;
	void *context;
	char *path;
	size_t request_max;
	struct connection *connections;
	unsigned int count;
};

static void connection_free(struct connection *connection)
{
	struct server *server = connection->server;

	struct server_call *call = connection->call;

	if (call)
		call->connection = NULL;
	if (call && call->gone) {
		call->gone(call->context, call);
		free(call);
	}
	DL_DELETE(server->connections, connection);
	server->count--;
	bufferevent_free(connection->io);
	free(connection);
}

void server_answer(struct server_call *call, json_t *answer)
{
	struct connection *connection = call->connection;
	_cleanup_free_ char *line = NULL;
	size_t size;
	int r = rpc_encode(answer, SERVER_ANSWER_MAX, &line, &size);

	json_decref(answer);
	free(call);
	if (!connection)
		return;
	connection->call = NULL;
	if (r < 0) {
		connection_free(connection);
		return;
	}
	bufferevent_write(connection->io, line, size);
	/* Requests that came meanwhile wait in the input buffer. */
	bufferevent_trigger(connection->io, EV_READ,
			    BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void server_keep(struct server_call *call, server_gone *gone, void *context)
{
	call->gone = gone;
	call->context = context;
}

bool server_stream(struct server_call *call, json_t *line)
{
	struct evbuffer *output = bufferevent_get_output(call->connection->io);
	_cleanup_free_ char *text = NULL;
	size_t size;
	bool sent = evbuffer_get_length(output) < SERVER_BACKLOG_MAX &&
		    rpc_encode(line, SERVER_ANSWER_MAX, &text, &size) == 0;

	json_decref(line);
	return sent && bufferevent_write(call->connection->io, text, size) == 0;
}

void server_fail(struct server_call *call, int code, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, format);
	text = xvasprintf(format, args);
	va_end(args);
	server_answer(call, rpc_failure(code, text, NULL));
}

static void serve_line(struct connection *connection, const char *line, size_t length)
{
	_cleanup_json_ json_t *request = NULL;
	struct err err;

	connection->call = xcalloc(1, sizeof(*connection->call));
	connection->call->connection = connection;
	if (rpc_decode(line, length, connection->server->request_max, &request, &err) < 0)
		server_fail(connection->call, SERVER_CODE_DECODE, "%s", err.text);
	else
		connection->server->handler(connection->server->context, connection->call, request);
}

static void on_read(struct bufferevent *io, void *context)
{
	struct connection *connection = context;
	struct evbuffer *input = bufferevent_get_input(io);
	_cleanup_free_ char *line = NULL;
	size_t length;

	if (connection->call)
		return;
	line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF);
	if (line)
		serve_line(connection, line, length);
	else if (evbuffer_get_length(input) >= connection->server->request_max)
		connection_free(connection);
}

static void on_event(struct bufferevent *io, short what, void *context)
{
	struct connection *connection = context;

	/* A peer that waits for our answer may be silent for as long as we are. */
	if ((what & BEV_EVENT_TIMEOUT) && connection->call) {
		bufferevent_enable(io, EV_READ);
		return;
	}
	connection_free(connection);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
		      int size, void *context)
{
	struct server *server = context;
	struct timeval idle = { .tv_sec = SERVER_IDLE_SECONDS };
	struct connection *connection;

	(void)address;
	(void)size;
	if (server->count >= SERVER_CONNECTIONS_MAX || rpc_peer_check(fd) < 0) {
		log_warning("connection refused", "socket", server->path, NULL);
		close(fd);
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	connection->server = server;
	connection->io = bufferevent_socket_new(evconnlistener_get_base(listener), fd,
						BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (!connection->io)
		abort();
	DL_APPEND(server->connections, connection);
	server->count++;
	bufferevent_setcb(connection->io, on_read, NULL, on_event, connection);
	bufferevent_setwatermark(connection->io, EV_READ, 0, server->request_max);
	bufferevent_set_timeouts(connection->io, &idle, &idle);
	bufferevent_enable(connection->io, EV_READ | EV_WRITE);
}

int server_new(struct event_base *base, const char *path, server_handler *handler, void *context,
	       struct server **ret_server, struct err *err)
{
	struct server *server;
	int fd, r;

	r = rpc_listen(path, &fd, err);
	if (r < 0)
		return r;
	server = xcalloc(1, sizeof(*server));
	server->handler = handler;
	server->context = context;
	server->path = xstrdup(path);
	server->request_max = RPC_LINE_MAX;
	server->listener =
		evconnlistener_new(base, on_accept, server, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (!server->listener)
		abort();
	*ret_server = server;
	return 0;
}

void server_request_max(struct server *server, size_t bytes)
{
	server->request_max = bytes;
}

void server_free(struct server *server)
{
	if (!server)
		return;
	evconnlistener_free(server->listener);
	while (server->connections)
		connection_free(server->connections);
	unlink(server->path);
	free(server->path);
	free(server);
}
