/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to an API server, many at a time over one connection (HTTP/2 where the server has it),
 * in the thread of their store: everything happens in kube_http_turn(). Private to datastore/.
 *
 * The server's certificate is always verified. Of several addresses the next one is tried when one
 * cannot be reached; when none can, requests fail at once until a while has passed (200 ms, doubled
 * up to 10 s, less up to a half by chance), so that nobody waits for a server that is known to be
 * away. 429 and what comes with Retry-After is asked again. No credential is in any message.
 */
#ifndef MARGAY_DATASTORE_KUBE_HTTP_H
#define MARGAY_DATASTORE_KUBE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "datastore/kube_split.h"

struct kube_config;
struct kube_http;
struct kube_transfer;

#define KUBE_ANSWER_MAX (KUBE_ITEM_MAX) /* bytes of an answer that is taken whole */

/* One request; the caller's, from kube_http_start() until done or kube_http_cancel(). Zero it and
 * fill in the first part. */
struct kube_request {
	const char *method; /* "GET" */
	const char *path;   /* "/api/v1/pods?limit=1"; must live as long as the request */
	const char *type;   /* of the body; NULL: application/json */
	const char *body;   /* NULL: none; must live as long */
	int timeout_ms;	    /* for an answer, the whole of it unless idle_ms; 0: 15 s */
	bool fresh;	    /* by a new connection */
	int idle_ms;	    /* a stream: longest silence; 0: it is none */
	/* Gets the body of an answer 2xx as it comes, of a stream first nothing: it has begun. 0
	 * goes on; else the request ends with that and err. It must not cancel its own request.
	 * NULL: the body is kept in answer. */
	int (*data)(struct kube_request *request, const char *data, size_t size, struct err *err);
	/* The request is over; it may be freed or started again. NULL: look at over. */
	void (*done)(struct kube_request *request);
	void *arg;

	/* Results. */
	bool over;
	int result; /* 0: there was an answer, whatever its status; or -errno and err */
	int status; /* HTTP's */
	struct kube_text answer; /* of data NULL, or a status other than 2xx; NUL behind it */
	struct err err;

	/* Its own. */
	struct kube_http *http;		  /* NULL: it is over or was not started */
	const struct kube_config *config; /* of where it was sent last */
	struct kube_transfer *transfer;	  /* NULL: it is not under way */
	long long begun, due;		  /* rpc_now(): waits until due */
	long long heard;		  /* last sign of life */
	unsigned int tries, waits;
	bool renewed;	   /* credentials, after a 401 */
	unsigned int turn; /* looked at last */
	struct kube_request *next, *prev;
};

/* Takes config. programs: see kube_auth_new(). */
int kube_http_new(struct kube_config *config, bool programs, struct kube_http **ret_http,
		  struct err *err);
/* Requests that are left are cancelled. */
void kube_http_free(struct kube_http *http);
DEFINE_CLEANUP(struct kube_http *, kube_http_free)
#define _cleanup_kube_http_ _cleanup_(kube_http_free_p)

void kube_http_start(struct kube_http *http, struct kube_request *request);
void kube_http_cancel(struct kube_request *request);  /* no further call; also if it is over */
void kube_request_done(struct kube_request *request); /* cancels and frees what it holds */

/* Waits for at most wait_ms (-1: until something is due), does what is due. Calls data and done of
 * all requests; of only that one, where only is not NULL: what comes for others is kept, or left
 * on the wire when it is much. */
void kube_http_turn(struct kube_http *http, int wait_ms, const struct kube_request *only);

/* Starts it and waits for its end: its result. */
int kube_http_run(struct kube_http *http, struct kube_request *request);

int kube_http_fd(const struct kube_http *http);		/* an epoll */
int kube_http_timeout_ms(const struct kube_http *http); /* -1: none */

/* An answer that says that something is wrong, as -errno and a text that says what to do. what: the
 * object or the kind that was asked for ("networkset.projectcalico.org a/x"). 0: it does not. */
int kube_http_check(const struct kube_request *request, const char *what, struct err *err);

/* ms, a half to the whole of it, by chance. */
int kube_jitter(int ms);

#endif
