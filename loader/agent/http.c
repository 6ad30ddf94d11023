/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"

#define HEADERS_MAX 4096
#define TIMEOUT_SECONDS 10

#define FILES 3

struct http {
	struct http_source source;
	struct http_config config;
	struct timespec changed[FILES]; /* of cert, key, ca */
	SSL_CTX *tls;
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

/* --- TLS ----------------------------------------------------------------------------------- */

static int tls_fail(struct err *err, const char *what, const char *path)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());
	int r = err_set(err, -EBADMSG, "%s %s: %s", what, path, why ? why : "cannot be used");

	ERR_clear_error();
	return r;
}

/* Any certificate will do. */
static int take_any(X509_STORE_CTX *context, void *arg)
{
	(void)context;
	(void)arg;
	return 1;
}

static int ask_client(SSL_CTX *tls, const struct http_config *config, struct err *err)
{
	bool verified = config->client == HTTP_CLIENT_VERIFIED ||
			config->client == HTTP_CLIENT_VERIFIED_IF_SHOWN;
	bool demanded =
		config->client == HTTP_CLIENT_VERIFIED || config->client == HTTP_CLIENT_SHOWS;

	if (config->client == HTTP_CLIENT_ANY)
		return 0;
	if (verified && !*config->ca)
		return err_set(err, -EINVAL, "clients cannot be verified without a CA file");
	if (verified && SSL_CTX_load_verify_locations(tls, config->ca, NULL) != 1)
		return tls_fail(err, "CA", config->ca);
	if (!verified)
		SSL_CTX_set_cert_verify_callback(tls, take_any, NULL);
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER | (demanded ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
			   NULL);
	return 0;
}

static int open_tls(const struct http_config *config, SSL_CTX **ret_tls, struct err *err)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	int r = 0;

	if (!tls)
		abort();
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	/* Each scrape is a connection of its own; no session outlives it. */
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
	if (SSL_CTX_use_certificate_chain_file(tls, config->cert) != 1)
		r = tls_fail(err, "certificate", config->cert);
	else if (SSL_CTX_use_PrivateKey_file(tls, config->key, SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(tls) != 1)
		r = tls_fail(err, "key", config->key);
	else
		r = ask_client(tls, config, err);
	if (r < 0)
		SSL_CTX_free(tls);
	else
		*ret_tls = tls;
	return r;
}

static struct bufferevent *on_connection(struct event_base *base, void *context)
{
	struct http *http = context;

	return bufferevent_openssl_socket_new(base, -1, SSL_new(http->tls),
					      BUFFEREVENT_SSL_ACCEPTING,
					      BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
}

static int listen_metrics(struct http *http, struct event_base *base,
			  const struct http_config *config, struct err *err)
{
	int r = 0;

	if (*config->cert && *config->key)
		r = open_tls(config, &http->tls, err);
	else if (*config->cert || *config->key)
		r = err_set(err, -EINVAL, "metrics over TLS need a certificate and its key");
	if (!r)
		r = listen_at(base, config->metrics_host, config->metrics_port, &http->metrics,
			      err);
	if (r < 0)
		return r;
	if (http->tls)
		evhttp_set_bevcb(http->metrics, on_connection, http);
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
	SSL_CTX_free(http->tls);
	free((char *)http->config.health_host);
	free((char *)http->config.metrics_host);
	free((char *)http->config.cert);
	free((char *)http->config.key);
	free((char *)http->config.ca);
	free(http);
}
