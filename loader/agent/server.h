/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A UNIX socket that answers requests of one JSON object a line (docs/cni-socket.md): the CNI
 * plugin's and margayctl's. Mode 0600 in a folder of mode 0700; peers of another uid are closed
 * without an answer. Limits: RPC_LINE_MAX bytes a request, SERVER_ANSWER_MAX an answer,
 * SERVER_CONNECTIONS_MAX at once; a connection that says nothing for SERVER_IDLE_SECONDS is closed.
 */
#ifndef MARGAY_AGENT_SERVER_H
#define MARGAY_AGENT_SERVER_H

#include <jansson.h>
#include <stdbool.h>

struct event_base;
struct err;
struct server;
struct server_call;

#define SERVER_ANSWER_MAX (8 * 1024 * 1024) /* tables for margayctl; the plugin's are small */
#define SERVER_CODE_DECODE 6		    /* CNI: failed to decode content */
#define SERVER_CONNECTIONS_MAX 256
#define SERVER_BACKLOG_MAX (1024 * 1024) /* bytes a slow reader of a stream may be behind */
#define SERVER_IDLE_SECONDS 60

/* Takes the call; must end in one server_answer(), now or in a later turn of the loop. request is
 * borrowed until the handler returns. */
typedef void server_handler(void *context, struct server_call *call, json_t *request);

/* Owns path from here on: an old socket there is removed, and ours when it is freed. */
int server_new(struct event_base *base, const char *path, server_handler *handler, void *context,
	       struct server **ret_server, struct err *err);
void server_free(struct server *server); /* accepts NULL */
/* Bytes of one request, of connections from now on; RPC_LINE_MAX unless it is told. */
void server_request_max(struct server *server, size_t bytes);

/* Sends answer (ownership is taken) as one line. The call is gone afterwards, also where the peer
 * has left meanwhile. */
void server_answer(struct server_call *call, json_t *answer);

/* A call that goes on: sends one line (answer is taken) and keeps the call. False: the peer reads
 * too slowly, the line was left out. gone is called once when the peer leaves, and ends the call.
 */
typedef void server_gone(void *context, struct server_call *call);
void server_keep(struct server_call *call, server_gone *gone, void *context);
bool server_stream(struct server_call *call, json_t *line);

/* {"ok":false,"code":code,"msg":...}; code is a CNI error code. */
void server_fail(struct server_call *call, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
