/* SPDX-License-Identifier: Apache-2.0 */
/* What a turn of the connections does: begin what is due, listen, hand on what came. */
#include <errno.h>
#include <sys/epoll.h>
#include <utlist.h>

#include "base/rpc.h"
#include "datastore/kube_transfer.h"

#define EVENTS_MAX 16
#define ANSWER_MS 15000 /* for the first line of an answer */

/* --- handing on --- */

static int hand_on(struct kube_request *request, const struct kube_text *text)
{
	if (request->data && request->status >= 200 && request->status < 300)
		return request->data(request, text->v, text->size, &request->err);
	if (request->answer.size + text->size > KUBE_ANSWER_MAX)
		return err_set(&request->err, -E2BIG,
			       "the API server's answer to %s %s is too large", request->method,
			       request->path);
	kube_text_add(&request->answer, text->v, text->size);
	return 0;
}

static void deliver(struct kube_http *http, struct kube_request *request)
{
	struct kube_transfer *transfer = request->transfer;
	struct kube_text text = transfer->held;
	int r = 0;

	transfer->held = (struct kube_text){ 0 };
	request->status = kube_transfer_status(transfer);
	if (request->status)
		kube_server_answers(http);
	if (text.size || (transfer->answered && request->idle_ms))
		r = hand_on(request, &text);
	transfer->answered = false;
	kube_text_done(&text);
	if (r) {
		kube_end(request, r);
		return;
	}
	if (transfer->finished && !transfer->held.size) {
		kube_attempt_over(http, request);
		return;
	}
	if (transfer->paused) {
		transfer->paused = false;
		kube_curl->curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	}
}

static bool is_ready(const struct kube_request *request)
{
	const struct kube_transfer *transfer = request->transfer;

	return transfer && (transfer->held.size || transfer->finished || transfer->answered);
}

/* One that was not looked at in this turn. */
static struct kube_request *next_ready(struct kube_http *http, unsigned int turn,
				       const struct kube_request *only)
{
	struct kube_request *request;

	DL_FOREACH(http->requests, request)
		if (is_ready(request) && request->turn != turn && (!only || only == request))
			return request;
	return NULL;
}

static void deliver_all(struct kube_http *http, const struct kube_request *only)
{
	unsigned int turn = ++http->turn;
	struct kube_request *request;

	while ((request = next_ready(http, turn, only))) {
		request->turn = turn;
		deliver(http, request);
	}
}

/* --- a turn --- */

static void note_finished(struct kube_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = kube_curl->curl_multi_info_read(http->multi, &left))) {
		struct kube_transfer *transfer;

		kube_curl->curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer->finished = true;
		transfer->code = message->data.result;
	}
}

static struct kube_request *next_due(struct kube_http *http, const struct kube_request *only)
{
	struct kube_request *request;

	DL_FOREACH(http->requests, request)
		if (!request->transfer && rpc_now() >= request->due && (!only || only == request))
			return request;
	return NULL;
}

static void begin_due(struct kube_http *http, const struct kube_request *only)
{
	struct kube_request *request;

	while ((request = next_due(http, only)))
		kube_begin(http, request);
}

/* When a stream has been silent for too long. A busy server may take its time to answer at all. */
static long long silent_at(const struct kube_request *request)
{
	bool answered = kube_transfer_status(request->transfer);

	return request->heard + (answered ? request->idle_ms : ANSWER_MS);
}

static bool is_stream(const struct kube_request *request)
{
	return request->transfer && request->idle_ms && !is_ready(request);
}

static void end_silent(struct kube_http *http)
{
	struct kube_request *request, *next;

	DL_FOREACH_SAFE(http->requests, request, next) {
		if (!is_stream(request) || rpc_now() < silent_at(request))
			continue;
		http->fresh = true;
		request->transfer->finished = true;
		request->transfer->code = CURLE_OPERATION_TIMEDOUT;
		snprintf(request->transfer->why, sizeof(request->transfer->why),
			 "silent for %lld s", (rpc_now() - request->heard) / 1000);
	}
}

static void sooner(long long *due, long long other)
{
	if (*due < 0 || other < *due)
		*due = other;
}

/* rpc_now() of the next thing to do; -1: none. */
static long long next_moment(const struct kube_http *http, const struct kube_request *only)
{
	const struct kube_request *request;
	long long due = http->timer;

	DL_FOREACH(http->requests, request) {
		if (!request->transfer && (!only || only == request))
			sooner(&due, request->due);
		else if (is_ready(request) && (!only || only == request))
			sooner(&due, 0);
		else if (is_stream(request))
			sooner(&due, silent_at(request));
	}
	return due;
}

static int wait_of(const struct kube_http *http, int wait_ms, const struct kube_request *only)
{
	long long due = next_moment(http, only), left = due - rpc_now();

	if (due < 0)
		return wait_ms;
	left = left < 0 ? 0 : left;
	return wait_ms < 0 || left < wait_ms ? (int)left : wait_ms;
}

static void hear(struct kube_http *http, int wait_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int running, count = epoll_wait(http->epoll, events, EVENTS_MAX, wait_ms);

	for (int i = 0; i < count; i++) {
		int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		kube_curl->curl_multi_socket_action(http->multi, events[i].data.fd, what, &running);
	}
	if (http->timer >= 0 && rpc_now() >= http->timer) {
		http->timer = -1;
		kube_curl->curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
}

void kube_http_turn(struct kube_http *http, int wait_ms, const struct kube_request *only)
{
	begin_due(http, only);
	if (only && only->over) /* without an attempt: nobody is to be waited for */
		return;
	hear(http, wait_of(http, wait_ms, only));
	note_finished(http);
	end_silent(http);
	deliver_all(http, only);
}

int kube_http_timeout_ms(const struct kube_http *http)
{
	return wait_of(http, -1, NULL);
}
