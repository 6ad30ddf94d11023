/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Health and metrics over HTTP (libevent's evhttp): GET only, 4 KiB of headers, no body.
 * Two listeners, as Calico's users expect: health (/healthz /readyz, /liveness /readiness) on
 * localhost:9099 and metrics (/metrics, Prometheus text format) on :9091, unless configured.
 */
#ifndef MARGAY_AGENT_HTTP_H
#define MARGAY_AGENT_HTTP_H

#include <stdbool.h>
#include <stdio.h>

struct event_base;
struct evhttp;
struct err;
struct http;

struct http_source {
	/* false: 503, with the reasons written to out, a line each */
	bool (*live)(void *context, FILE *out);
	bool (*ready)(void *context, FILE *out);
	void (*metrics)(void *context, FILE *out);
	void *context;
};

enum http_client {
	HTTP_CLIENT_ANY,   /* no certificate is asked for */
	HTTP_CLIENT_SHOWS, /* it must show one, whoever signed it */
	HTTP_CLIENT_VERIFIED_IF_SHOWN,
	HTTP_CLIENT_VERIFIED
};

/* Strings are copied. */
struct http_config {
	const char *health_host;  /* NULL: no health listener */
	const char *metrics_host; /* NULL: no metrics listener; "" is every address */
	unsigned int health_port; /* 0: the kernel chooses one, and the log tells it */
	unsigned int metrics_port;
	/* Metrics over TLS 1.2 and up where cert and key are given (PEM files); ca: of clients. */
	const char *cert;
	const char *key;
	const char *ca;
	enum http_client client;
};

int http_new(struct event_base *base, const struct http_config *config,
	     const struct http_source *source, struct http **ret_http, struct err *err);
void http_free(struct http *http); /* accepts NULL */

/* A server without answers yet, with the limits above. host "" is every address of both families.
 * The caller frees (evhttp_free). */
int http_listen(struct event_base *base, const char *host, unsigned int port,
		struct evhttp **ret_evhttp, struct err *err);

/* Whether http was opened with the same words, and the files have not changed since. */
bool http_is(const struct http *http, const struct http_config *config);

#endif
