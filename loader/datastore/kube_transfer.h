/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt at a request: the curl handle and what it needs while it runs. Private to kube_http.
 */
#ifndef MARGAY_DATASTORE_KUBE_TRANSFER_H
#define MARGAY_DATASTORE_KUBE_TRANSFER_H

#include <stdbool.h>

#include "datastore/kube_curl.h"
#include "datastore/kube_http.h"

struct err;
struct kube_auth;
struct kube_config;

#define KUBE_CONNECT_MS 3000
#define KUBE_HELD_MAX (256U << 10) /* bytes that nobody has taken; more stays on the wire */

struct kube_transfer {
	CURL *easy;
	struct kube_request *request;
	struct curl_slist *headers;
	char *url;
	struct curl_slist *connect_to;
	struct kube_text held; /* came, was not handed on yet */
	bool paused;
	bool answered; /* a status came; not told yet */
	bool finished; /* with code */
	CURLcode code;
	char why[CURL_ERROR_SIZE];
};

struct kube_attempt {
	const struct kube_config *config;
	struct kube_auth *auth;
	const char *server; /* "https://host:port" */
	bool fresh;	    /* no connection that is there may be used */
	int timeout_ms;	    /* 0: none */
};

/* Not yet added to a multi handle. */
int kube_transfer_new(const struct kube_attempt *attempt, struct kube_request *request,
		      struct kube_transfer **ret_transfer, struct err *err);
/* Removed from its multi handle before. */
void kube_transfer_free(struct kube_transfer *transfer);
int kube_transfer_status(const struct kube_transfer *transfer); /* HTTP's; 0: none yet */

struct kube_http {
	struct kube_config *config;
	struct kube_auth *auth;
	CURLM *multi;
	int epoll;
	long long timer;      /* curl's, rpc_now(); -1: none */
	size_t server;	      /* in use */
	bool fresh;	      /* connections that are there are not to be trusted */
	unsigned int downs;   /* times in a row that no server was reached */
	long long down_until; /* requests fail with down until then */
	struct err down;
	struct kube_request *requests;
	unsigned int turn;
};

void kube_begin(struct kube_http *http, struct kube_request *request);
/* A status came: it is not away (any more). */
void kube_server_answers(struct kube_http *http);
/* The attempt is finished and all of it handed on: the request's end, or another attempt. */
void kube_attempt_over(struct kube_http *http, struct kube_request *request);
/* The request leaves the list, and its caller hears of it. */
void kube_end(struct kube_request *request, int result);

#endif
