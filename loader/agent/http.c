/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"

#define HEADERS_MAX 4096
#define TIMEOUT_SECONDS 10

struct http {
	struct http_source source;
	struct evhttp *health;
	struct evhttp *metrics;
};

static void reply(struct evhttp_request *request, int status, const char *type, const char *text,
		  size_t size)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add(body, text, size) < 0)
		abort();
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	evhttp_send_reply(request, status, status == HTTP_OK ? "OK" : "Service Unavailable", body);
	evbuffer_free(body);
}

static void reply_state(struct evhttp_request *request, bool (*ask)(void *, FILE *), void *context)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	bool good;

	if (!out)
		abort();
	good = ask(context, out);
	if (good)
		fputs("ok\n", out);
	fclose(out);
	reply(request, good ? HTTP_OK : HTTP_SERVUNAVAIL, "text/plain; charset=utf-8", text, size);
}

static void on_live(struct evhttp_request *request, void *context)
{
	struct http *http = context;

	reply_state(request, http->source.live, http->source.context);
}

static void on_ready(struct evhttp_request *request, void *context)
{
	struct http *http = context;

	reply_state(request, http->source.ready, http->source.context);
}

static void on_metrics(struct evhttp_request *request, void *context)
{
	struct http *http = context;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	http->source.metrics(http->source.context, out);
	fclose(out);
	reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, size);
}

static int listen_at(struct event_base *base, const char *host, unsigned int port,
		     struct evhttp **ret_evhttp, struct err *err)
{
	struct evhttp *evhttp = evhttp_new(base);

	if (!evhttp)
		abort();
	evhttp_set_allowed_methods(evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(evhttp, HEADERS_MAX);
	evhttp_set_max_body_size(evhttp, 0);
	evhttp_set_timeout(evhttp, TIMEOUT_SECONDS);
	if (evhttp_bind_socket(evhttp, *host ? host : "::", (ev_uint16_t)port) < 0 &&
	    (*host || evhttp_bind_socket(evhttp, "0.0.0.0", (ev_uint16_t)port) < 0)) {
		evhttp_free(evhttp);
		return err_errno(err, errno ? -errno : -EADDRINUSE, "listen at %s:%u",
				 *host ? host : "[::]", port);
	}
	*ret_evhttp = evhttp;
	return 0;
}

static int listen_health(struct http *http, struct event_base *base,
			 const struct http_config *config, struct err *err)
{
	int r = listen_at(base, config->health_host, config->health_port, &http->health, err);

	if (r < 0)
		return r;
	evhttp_set_cb(http->health, "/healthz", on_live, http);
	evhttp_set_cb(http->health, "/liveness", on_live, http);
	evhttp_set_cb(http->health, "/readyz", on_ready, http);
	evhttp_set_cb(http->health, "/readiness", on_ready, http);
	return 0;
}

int http_new(struct event_base *base, const struct http_config *config,
	     const struct http_source *source, struct http **ret_http, struct err *err)
{
	struct http *http = xcalloc(1, sizeof(*http));
	int r = 0;

	http->source = *source;
	if (config->health_host)
		r = listen_health(http, base, config, err);
	if (!r && config->metrics_host) {
		r = listen_at(base, config->metrics_host, config->metrics_port, &http->metrics,
			      err);
		if (!r)
			evhttp_set_cb(http->metrics, "/metrics", on_metrics, http);
	}
	if (r < 0) {
		http_free(http);
		return r;
	}
	*ret_http = http;
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->health)
		evhttp_free(http->health);
	if (http->metrics)
		evhttp_free(http->metrics);
	free(http);
}
