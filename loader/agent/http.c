/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/tls.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

#define HEADERS_MAX 4096
#define TIMEOUT_SECONDS 10

#define FILES 3

struct http {
	struct http_source source;
	struct http_config config;
	struct timespec changed[FILES]; /* of cert, key, ca */
	struct tls *tls;
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

/* Port 0: the kernel chose one, which only the log can tell. */
static void tell_port(struct evhttp_bound_socket *bound, const char *host)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = {};
	socklen_t size = sizeof(at);
	char port[8];

	if (getsockname(evhttp_bound_socket_get_fd(bound), &at.any, &size) < 0)
		return;
	snprintf(port, sizeof(port), "%u",
		 ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port));
	log_info("listening at a port that the kernel chose", "host", host, "port", port, NULL);
}

/* No resolver has to know what every address is, nor localhost (RFC 6761, 6.3). */
static struct evhttp_bound_socket *bind_to(struct evhttp *evhttp, const char *host,
					   unsigned int port)
{
	static const char *const every[] = { "::", "0.0.0.0", NULL };
	static const char *const local[] = { "127.0.0.1", "::1", NULL };
	const char *const alone[] = { host, NULL };
	const char *const *at = !*host ? every : !strcmp(host, "localhost") ? local : alone;
	struct evhttp_bound_socket *bound = NULL;

	for (; *at && !bound; at++)
		bound = evhttp_bind_socket_with_handle(evhttp, *at, (ev_uint16_t)port);
	return bound;
}

int http_listen(struct event_base *base, const char *host, unsigned int port,
		struct evhttp **ret_evhttp, struct err *err)
{
	struct evhttp_bound_socket *bound;
	struct evhttp *evhttp = evhttp_new(base);

	if (!evhttp)
		abort();
	evhttp_set_allowed_methods(evhttp, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(evhttp, HEADERS_MAX);
	evhttp_set_max_body_size(evhttp, 0);
	evhttp_set_timeout(evhttp, TIMEOUT_SECONDS);
	bound = bind_to(evhttp, host, port);
	if (!bound) {
		evhttp_free(evhttp);
		return err_errno(err, errno ? -errno : -EADDRINUSE, "listen at %s:%u",
				 *host ? host : "[::]", port);
	}
	if (!port)
		tell_port(bound, host);
	*ret_evhttp = evhttp;
	return 0;
}

static int listen_health(struct http *http, struct event_base *base,
			 const struct http_config *config, struct err *err)
{
	int r = http_listen(base, config->health_host, config->health_port, &http->health, err);

	if (r < 0)
		return r;
	evhttp_set_cb(http->health, "/healthz", on_live, http);
	evhttp_set_cb(http->health, "/liveness", on_live, http);
	evhttp_set_cb(http->health, "/readyz", on_ready, http);
	evhttp_set_cb(http->health, "/readiness", on_ready, http);
	return 0;
}

static int listen_metrics(struct http *http, struct event_base *base,
			  const struct http_config *config, struct err *err)
{
	int r = 0;

	if (*config->cert && *config->key)
		r = tls_new(config, &http->tls, err);
	else if (*config->cert || *config->key)
		r = err_set(err, -EINVAL, "metrics over TLS need a certificate and its key");
	if (!r)
		r = http_listen(base, config->metrics_host, config->metrics_port, &http->metrics,
				err);
	if (r < 0)
		return r;
	if (http->tls)
		evhttp_set_bevcb(http->metrics, tls_accept, http->tls);
	evhttp_set_cb(http->metrics, "/metrics", on_metrics, http);
	return 0;
}

/* --- life ---------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void read_times(const struct http_config *config, struct timespec *changed)
{
	const char *const files[FILES] = { config->cert, config->key, config->ca };

	for (unsigned int i = 0; i < FILES; i++) {
		struct stat about;

		changed[i] = (struct timespec){ 0 };
		if (*files[i] && !stat(files[i], &about))
			changed[i] = about.st_mtim;
	}
}

static void keep_config(struct http *http, const struct http_config *config)
{
	http->config = *config;
	http->config.health_host = copy(config->health_host);
	http->config.metrics_host = copy(config->metrics_host);
	http->config.cert = copy(config->cert);
	http->config.key = copy(config->key);
	http->config.ca = copy(config->ca);
	read_times(config, http->changed);
}

int http_new(struct event_base *base, const struct http_config *config,
	     const struct http_source *source, struct http **ret_http, struct err *err)
{
	struct http *http = xcalloc(1, sizeof(*http));
	int r = 0;

	http->source = *source;
	keep_config(http, config);
	if (config->health_host)
		r = listen_health(http, base, config, err);
	if (!r && config->metrics_host)
		r = listen_metrics(http, base, config, err);
	if (r < 0) {
		http_free(http);
		return r;
	}
	*ret_http = http;
	return 0;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool http_is(const struct http *http, const struct http_config *config)
{
	const struct http_config *own = &http->config;
	struct timespec changed[FILES];

	read_times(config, changed);
	return same(own->health_host, config->health_host) &&
	       same(own->metrics_host, config->metrics_host) && same(own->cert, config->cert) &&
	       same(own->key, config->key) && same(own->ca, config->ca) &&
	       own->health_port == config->health_port &&
	       own->metrics_port == config->metrics_port && own->client == config->client &&
	       !memcmp(changed, http->changed, sizeof(changed));
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->health)
		evhttp_free(http->health);
	if (http->metrics)
		evhttp_free(http->metrics);
	tls_free(http->tls);
	free((char *)http->config.health_host);
	free((char *)http->config.metrics_host);
	free((char *)http->config.cert);
	free((char *)http->config.key);
	free((char *)http->config.ca);
	free(http);
}
