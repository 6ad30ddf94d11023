/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/service_health.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <string.h>
#include <time.h>

#include "agent/http.h"
#include "agent/status.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utc.h"
#include "state/local_ready.h"

#define AGAIN_SECONDS 5 /* a port was taken */
#define LEAVING_TAINT "ToBeDeletedByClusterAutoscaler"

/* One port that load balancers ask. */
struct listener {
	struct service_health *health;
	char *ns; /* NULL: the proxy's own */
	char *name;
	uint16_t port;
	bool wanted;	       /* while ports are compared */
	bool told;	       /* that it is taken */
	struct evhttp *evhttp; /* NULL: not yet */
	struct listener *next;
};

struct service_health {
	struct agent *agent;
	struct local_ready *ready;
	struct listener *listeners;
	struct event *work;
	bool leaving;	       /* the node is about to go */
	uint64_t last_good_ms; /* when somebody was last told that all is well */
};

static uint64_t now_utc_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- answers -------------------------------------------------------------------------------- */

static void reply(struct evhttp_request *request, bool good, const char *text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add(body, text, strlen(text)) < 0)
		abort();
	evhttp_add_header(headers, "Content-Type", "application/json");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_send_reply(request, good ? HTTP_OK : HTTP_SERVUNAVAIL,
			  good ? "OK" : "Service Unavailable", body);
	evbuffer_free(body);
}

static bool is_healthy(const struct service_health *health)
{
	_cleanup_free_ char *why = NULL;
	size_t size;
	FILE *out = open_memstream(&why, &size);
	bool healthy;

	if (!out)
		abort();
	healthy = status_ready(health->agent, out);
	fclose(out);
	return healthy;
}

static void on_service(struct evhttp_request *request, void *arg)
{
	const struct listener *listener = arg;
	const bool healthy = is_healthy(listener->health);
	struct local_ready_service service = { .count = 0 };
	_cleanup_free_ char *text = NULL;
	char weight[24];

	local_ready_get(listener->health->ready, listener->ns, listener->name, &service);
	text = xasprintf(
		"{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n"
		"\t\"localEndpoints\": %zu,\n\t\"serviceProxyHealthy\": %s\n}",
		listener->ns, listener->name, service.count, healthy ? "true" : "false");
	snprintf(weight, sizeof(weight), "%zu", service.count);
	evhttp_add_header(evhttp_request_get_output_headers(request),
			  "X-Load-Balancing-Endpoint-Weight", weight);
	reply(request, service.count && healthy, text);
}

static void answer_proxy(struct evhttp_request *request, struct service_health *health,
			 bool heed_node)
{
	const bool healthy = is_healthy(health);
	const uint64_t now = now_utc_ms();
	char last[UTC_TEXT_MAX], current[UTC_TEXT_MAX];
	_cleanup_free_ char *text = NULL;

	if (healthy)
		health->last_good_ms = now;
	text = xasprintf("{\"lastUpdated\": \"%s\",\"currentTime\": \"%s\", \"nodeEligible\": %s}",
			 utc_format(health->last_good_ms, last), utc_format(now, current),
			 health->leaving ? "false" : "true");
	reply(request, healthy && !(heed_node && health->leaving), text);
}

static void on_healthz(struct evhttp_request *request, void *arg)
{
	answer_proxy(request, arg, true);
}

static void on_livez(struct evhttp_request *request, void *arg)
{
	answer_proxy(request, arg, false);
}

/* --- ports ---------------------------------------------------------------------------------- */

static void try_again(struct service_health *health)
{
	const struct timeval when = { .tv_sec = AGAIN_SECONDS };

	event_add(health->work, &when);
}

static void listen_at(struct listener *listener)
{
	struct service_health *health = listener->health;
	struct err err = { 0 };

	if (http_listen(health->agent->base, "", listener->port, &listener->evhttp, &err) < 0) {
		if (!listener->told)
			log_warning("load balancers cannot ask", "why", err.text, NULL);
		listener->told = true;
		try_again(health);
	} else if (listener->ns) {
		evhttp_set_gencb(listener->evhttp, on_service, listener);
	} else {
		evhttp_set_cb(listener->evhttp, "/healthz", on_healthz, health);
		evhttp_set_cb(listener->evhttp, "/livez", on_livez, health);
	}
}

static void listener_free(struct listener *listener)
{
	if (listener->evhttp)
		evhttp_free(listener->evhttp);
	free(listener->ns);
	free(listener->name);
	free(listener);
}

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void want(struct service_health *health, const char *ns, const char *name, uint16_t port)
{
	struct listener *listener = health->listeners;

	while (listener && (listener->port != port || !texts_equal(listener->ns, ns) ||
			    !texts_equal(listener->name, name)))
		listener = listener->next;
	if (!listener) {
		listener = xcalloc(1, sizeof(*listener));
		listener->health = health;
		listener->ns = ns ? xstrdup(ns) : NULL;
		listener->name = name ? xstrdup(name) : NULL;
		listener->port = port;
		listener->next = health->listeners;
		health->listeners = listener;
	}
	listener->wanted = true;
}

static void want_service(void *arg, const struct local_ready_service *service)
{
	want(arg, service->ns, service->name, service->port);
}

static void drop_unwanted(struct service_health *health)
{
	struct listener **at = &health->listeners;

	while (*at) {
		struct listener *listener = *at;

		if (listener->wanted) {
			listener->wanted = false;
			at = &listener->next;
			continue;
		}
		*at = listener->next;
		listener_free(listener);
	}
}

/* What is wanted no more goes first: its port may be another one's now. */
static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct service_health *health = arg;
	const unsigned int own =
		(unsigned int)state_params(health->agent->state)->proxy_health_port;

	(void)fd;
	(void)what;
	if (own)
		want(health, NULL, NULL, (uint16_t)own);
	local_ready_each(health->ready, want_service, health);
	drop_unwanted(health);
	for (struct listener *listener = health->listeners; listener; listener = listener->next)
		if (!listener->evhttp)
			listen_at(listener);
}

/* --- what is told --------------------------------------------------------------------------- */

void service_health_set(struct agent *agent, const struct object *object)
{
	struct service_health *health = agent->service_health;

	if (health && (local_ready_set(health->ready, object) || object->kind == KIND_FELIX_CONFIG))
		event_active(health->work, 0, 0);
}

void service_health_del(struct agent *agent, enum kind kind, const char *ns, const char *name)
{
	struct service_health *health = agent->service_health;

	if (health && (local_ready_del(health->ready, kind, ns, name) || kind == KIND_FELIX_CONFIG))
		event_active(health->work, 0, 0);
}

void service_health_node(struct agent *agent, const json_t *node)
{
	const json_t *taint;
	size_t i;

	if (!agent->service_health)
		return;
	agent->service_health->leaving = json_text_at(node, "metadata.deletionTimestamp");
	json_array_foreach(json_at(node, "spec.taints"), i, taint) {
		if (!strcmp(json_text_or(taint, "key", ""), LEAVING_TAINT))
			agent->service_health->leaving = true;
	}
}

void service_health_start(struct agent *agent)
{
	struct service_health *health;

	if (!kind_info(KIND_SERVICE)->effect)
		return;
	health = xcalloc(1, sizeof(*health));
	health->agent = agent;
	health->ready = local_ready_new(agent->config.node);
	health->work = evtimer_new(agent->base, on_work, health);
	health->last_good_ms = now_utc_ms();
	agent->service_health = health;
	event_active(health->work, 0, 0);
}

void service_health_stop(struct agent *agent)
{
	struct service_health *health = agent->service_health;

	if (!health)
		return;
	while (health->listeners) {
		struct listener *listener = health->listeners;

		health->listeners = listener->next;
		listener_free(listener);
	}
	event_free(health->work);
	local_ready_free(health->ready);
	free(health);
	agent->service_health = NULL;
}
