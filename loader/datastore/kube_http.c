/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_http.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/rpc.h"
#include "datastore/kube_auth.h"
#include "datastore/kube_config.h"
#include "datastore/kube_transfer.h"

#define TIMEOUT_MS 15000
#define DOWN_FIRST_MS 200
#define DOWN_LAST_MS 10000
#define HURRY_MS 1000	  /* not all requests at once when a server is back */
#define WAITS_MAX 6	  /* times that a request is asked again as the server wished */
#define WAIT_FIRST_MS 500 /* 429 without Retry-After */

int kube_jitter(int ms)
{
	uint32_t chance = 0;

	(void)!getrandom(&chance, sizeof(chance), 0);
	return ms / 2 + (int)(chance % (uint32_t)(ms / 2 + 1));
}

/* --- what curl wants to be told --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct kube_http *http = arg;
	struct epoll_event event = { .data.fd = fd };

	(void)easy;
	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(http->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(http->epoll, EPOLL_CTL_MOD, fd, &event) < 0 && errno == ENOENT)
		epoll_ctl(http->epoll, EPOLL_CTL_ADD, fd, &event);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct kube_http *http = arg;

	(void)multi;
	http->timer = ms < 0 ? -1 : rpc_now() + ms;
	return 0;
}

int kube_http_new(struct kube_config *config, bool programs, struct kube_http **ret_http,
		  struct err *err)
{
	_cleanup_kube_http_ struct kube_http *http = xcalloc(1, sizeof(*http));
	int r = kube_curl_load(err);

	http->config = config;
	http->auth = kube_auth_new(config, programs);
	http->timer = -1;
	http->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!r && http->epoll < 0)
		r = err_errno(err, -errno, "epoll");
	if (r < 0)
		return r;
	http->multi = kube_curl->curl_multi_init();
	if (!http->multi)
		abort(); /* out of memory */
	kube_curl->curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	kube_curl->curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	kube_curl->curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	kube_curl->curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	*ret_http = TAKE_PTR(http);
	return 0;
}

void kube_http_free(struct kube_http *http)
{
	if (!http)
		return;
	while (http->requests)
		kube_http_cancel(http->requests);
	if (http->multi)
		kube_curl->curl_multi_cleanup(http->multi);
	close_p(&http->epoll);
	kube_auth_free(http->auth);
	kube_config_free(http->config);
	free(http);
}

/* --- life of a request --- */

static void drop_transfer(struct kube_request *request)
{
	struct kube_transfer *transfer = TAKE_PTR(request->transfer);

	if (!transfer)
		return;
	kube_curl->curl_multi_remove_handle(request->http->multi, transfer->easy);
	kube_transfer_free(transfer);
}

void kube_http_cancel(struct kube_request *request)
{
	struct kube_http *http = request->http;

	if (!http)
		return;
	drop_transfer(request);
	DL_DELETE(http->requests, request);
	request->http = NULL;
}

void kube_request_done(struct kube_request *request)
{
	kube_http_cancel(request);
	kube_text_done(&request->answer);
}

void kube_http_start(struct kube_http *http, struct kube_request *request)
{
	kube_http_cancel(request);
	request->http = http;
	request->config = http->config;
	request->over = request->renewed = false;
	request->result = request->status = 0;
	request->answer.size = 0;
	request->begun = request->due = request->heard = rpc_now();
	request->tries = request->waits = 0;
	request->err = (struct err){ 0 };
	DL_APPEND(http->requests, request);
}

void kube_end(struct kube_request *request, int result)
{
	kube_http_cancel(request);
	request->result = result;
	request->over = true;
	if (request->done)
		request->done(request);
}

/* How long the whole may still take; 0: a stream, no limit. */
static int time_left(const struct kube_request *request)
{
	int whole = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS;
	long long left = request->begun + whole - rpc_now();

	if (request->idle_ms)
		return 0;
	return left < 1 ? 1 : (int)left;
}

void kube_begin(struct kube_http *http, struct kube_request *request)
{
	const struct kube_attempt attempt = { .config = http->config,
					      .auth = http->auth,
					      .server = http->config->servers[http->server],
					      .fresh = http->fresh || request->fresh,
					      .timeout_ms = time_left(request) };
	int r = 0;

	if (rpc_now() < http->down_until)
		r = err_set(&request->err, http->down.code, "%s", http->down.text);
	if (!r)
		r = kube_transfer_new(&attempt, request, &request->transfer, &request->err);
	if (r < 0) {
		kube_end(request, r);
		return;
	}
	http->fresh = false;
	request->heard = rpc_now(); /* it may have waited for its time */
	kube_curl->curl_multi_add_handle(http->multi, request->transfer->easy);
}

/* --- when an attempt is over --- */

static int code_error(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	default:
		return -EIO;
	}
}

static const char *code_advice(CURLcode code)
{
	switch ((int)code) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return ": its certificate is not one that certificate-authority vouches for, or "
		       "not "
		       "for this name: correct the kubeconfig's cluster "
		       "(certificate-authority-data, "
		       "tls-server-name, server)";
	case CURLE_SSL_CACERT_BADFILE:
		return ": correct the kubeconfig's certificate-authority-data";
	case CURLE_SSL_CERTPROBLEM:
		return ": correct the kubeconfig's client-certificate-data and client-key-data";
	case CURLE_SSL_CONNECT_ERROR:
		return ": TLS was refused: is this the API server, and the client certificate "
		       "valid?";
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
		return ": is the API server up, and its address right?";
	default:
		return "";
	}
}

/* The server was not spoken to: nothing of the request was carried out. */
static bool is_unspoken(CURLcode code)
{
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
		return true;
	default:
		return false;
	}
}

/* Not a byte of the request was sent. */
static bool is_unsent(const struct kube_transfer *transfer)
{
	long size = 0;

	kube_curl->curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &size);
	return !size;
}

/* Seconds; 0: the answer does not say. */
static long retry_after(const struct kube_transfer *transfer)
{
	curl_off_t after = 0;

	kube_curl->curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &after);
	return after > 3600 ? 3600 : (long)after;
}

static void note_down(struct kube_http *http, const struct err *err)
{
	unsigned int times = http->downs < 6 ? http->downs++ : 6;
	int ms = DOWN_FIRST_MS << times;

	http->down = *err;
	http->down_until = rpc_now() + kube_jitter(ms < DOWN_LAST_MS ? ms : DOWN_LAST_MS);
}

/* Who waits for it to come back need not wait longer; who was told to wait does. */
void kube_server_answers(struct kube_http *http)
{
	struct kube_request *request;

	if (!http->downs)
		return;
	http->downs = 0;
	http->down_until = 0;
	DL_FOREACH(http->requests, request) {
		long long soon = rpc_now() + kube_jitter(HURRY_MS);

		if (!request->transfer && !request->waits && request->due > soon)
			request->due = soon;
	}
}

static void again(struct kube_request *request, long long due)
{
	drop_transfer(request);
	request->due = due;
}

/* Nothing came, or not to its end. */
static void attempt_failed(struct kube_http *http, struct kube_request *request)
{
	const struct kube_transfer *transfer = request->transfer;
	CURLcode code = transfer->code;
	const char *why = *transfer->why ? transfer->why : kube_curl->curl_easy_strerror(code);
	bool unspoken = is_unspoken(code) || is_unsent(transfer);
	bool untold = !kube_transfer_status(transfer);
	size_t limit = http->config->server_count + !unspoken;

	err_set(&request->err, code_error(code), "API server %s: %s%s",
		http->config->servers[http->server], why, code_advice(code));
	http->fresh = true;
	if (untold)
		http->server = (http->server + 1) % http->config->server_count;
	/* What only reads may be asked twice; a connection may have died while it was idle. */
	if (untold && ++request->tries < limit &&
	    (unspoken || (!strcmp(request->method, "GET") && code != CURLE_OPERATION_TIMEDOUT))) {
		again(request, rpc_now());
		return;
	}
	if (untold)
		note_down(http, &request->err);
	kube_end(request, request->err.code);
}

/* True: the answer says that it is to be asked again, and that is to be. */
static bool ask_again(struct kube_http *http, struct kube_request *request)
{
	long after = retry_after(request->transfer);
	long long ms = after ? after * 1000 : kube_jitter(WAIT_FIRST_MS << request->waits);
	long long limit = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS;

	if (request->status == 401 && !request->renewed && kube_auth_refused(http->auth)) {
		request->renewed = true;
		again(request, rpc_now());
		return true;
	}
	if (request->status != 429 && !(after && request->status >= 500))
		return false;
	if (request->waits++ == WAITS_MAX || rpc_now() + ms > request->begun + limit)
		return false;
	again(request, rpc_now() + ms + kube_jitter(100));
	return true;
}

void kube_attempt_over(struct kube_http *http, struct kube_request *request)
{
	if (request->transfer->code != CURLE_OK) {
		attempt_failed(http, request);
		return;
	}
	if (ask_again(http, request)) {
		request->answer.size = 0;
		return;
	}
	kube_text_add(&request->answer, "", 1);
	request->answer.size--;
	kube_end(request, 0);
}

int kube_http_run(struct kube_http *http, struct kube_request *request)
{
	kube_http_start(http, request);
	while (!request->over)
		kube_http_turn(http, -1, request);
	return request->result;
}

int kube_http_fd(const struct kube_http *http)
{
	return http->epoll;
}
