/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON object a line over a Unix stream socket (docs/cni-socket.md): framing with limits
 * for both sides, and the whole of a client. One connection carries one request, one answer.
 *
 * A server cuts lines itself (evbuffer_readln with RPC_LINE_MAX) and uses rpc_decode(),
 * rpc_encode(), rpc_failure(), rpc_listen() and rpc_peer_check(). Trees belong to the caller
 * (json_decref). Times are milliseconds; errors -errno, the text in err.
 */
#ifndef MARGAY_BASE_RPC_H
#define MARGAY_BASE_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/json.h"

struct err;

#define RPC_LINE_MAX 65536 /* bytes of one line, the newline included */
#define RPC_DEPTH_MAX 16   /* objects and arrays in one another */

/* Text (size bytes, newline optional) to a tree. -EMSGSIZE: longer than limit; -EBADMSG: not
 * one JSON object, a key twice, or deeper than RPC_DEPTH_MAX. */
int rpc_decode(const char *text, size_t size, size_t limit, json_t **ret_tree, struct err *err);

/* A tree to one line with its newline; the caller frees. -EMSGSIZE: longer than limit. */
int rpc_encode(const json_t *tree, size_t limit, char **ret_line, size_t *ret_size);

/* {"ok":false,"code":code,"msg":msg,"details":details}; details may be NULL. Never NULL. */
json_t *rpc_failure(int code, const char *msg, const char *details);

/* A listening, non-blocking socket at path with mode 0600; what a former owner left is replaced.
 * -EADDRINUSE: somebody still answers there. */
int rpc_listen(const char *path, int *ret_fd, struct err *err);

/* -EPERM unless the peer of fd has our effective uid. */
int rpc_peer_check(int fd);

/* CLOCK_MONOTONIC in milliseconds: what deadlines are counted in. */
long long rpc_now(void);

/*
 * Sends request and waits for the answer until deadline (rpc_now() + n). With retry, a socket
 * that is not there, refuses, or closes without an answer is tried again until then: requests
 * must be such that twice does no harm. -ETIMEDOUT: no answer in time; -ENOENT, -ECONNREFUSED:
 * nobody has listened all the time, so nothing was asked. An answer with "ok": false is a success
 * of the call.
 */
struct rpc_call {
	const char *path;
	const json_t *request;
	long long deadline;
	bool retry;
};
int rpc_call(const struct rpc_call *call, json_t **ret_answer, struct err *err);

#endif
