/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/monitor.h"

#include <string.h>
#include <utlist.h>

#include "agent/event_json.h"
#include "agent/kernel_drops.h"
#include "agent/packet_log.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "dataplane/kernel_drops.h"

#define RECORDS_A_TURN 256
#define CODE_CANNOT 7 /* docs/control-socket.md */

struct watcher {
	struct server_call *call;
	char *from;
	char *to;
	bool dropped, allowed, kernel;
	unsigned int lost;
	struct watcher *prev, *next;
};

static bool is_end(const struct agent *agent, const char *wanted, const union mg_addr *addr)
{
	_cleanup_free_ char *text = NULL;
	char plain[ADDR_TEXT_MAX];

	if (!wanted)
		return true;
	text = event_end(agent, addr);
	return !strcmp(wanted, text) || !strcmp(wanted, addr_format(addr, plain));
}

static bool has_ends(const struct agent *agent, const struct watcher *watcher,
		     const struct mg_event *event)
{
	return is_end(agent, watcher->from, &event->src) && is_end(agent, watcher->to, &event->dst);
}

static bool fits(const struct agent *agent, const struct watcher *watcher,
		 const struct mg_event *event)
{
	bool wanted = event_dropped(event) ? watcher->dropped : watcher->allowed;

	return wanted && has_ends(agent, watcher, event);
}

static void tell(struct watcher *watcher, json_t *record)
{
	if (watcher->lost && server_stream(watcher->call, json_pack("{s:s,s:i}", "kind", "lost",
								    "count", (int)watcher->lost)))
		watcher->lost = 0;
	if (!server_stream(watcher->call, record))
		watcher->lost++;
}

static void on_event(const struct mg_event *event, void *context)
{
	struct agent *agent = context;
	struct watcher *watcher;

	if (event->kind == MG_EVENT_LOG)
		packet_log(agent, event);
	DL_FOREACH(agent->watchers, watcher) {
		if (fits(agent, watcher, event))
			tell(watcher, event_json(agent, event));
	}
}

void monitor_kernel_drop(struct agent *agent, const struct mg_kdrop *drop)
{
	struct watcher *watcher;
	struct mg_event event;
	json_t *record;

	dp_kernel_drop_event(drop, &event);
	DL_FOREACH(agent->watchers, watcher) {
		if (!watcher->kernel || !has_ends(agent, watcher, &event))
			continue;
		record = event_json(agent, &event);
		json_object_set_new(record, "kind", json_string("kernel-drop"));
		json_object_set_new(record, "hook", json_string("kernel"));
		kernel_drop_names(agent, drop, record);
		tell(watcher, record);
	}
}

void monitor_suppressed(struct agent *agent, uint64_t count)
{
	struct watcher *watcher;

	DL_FOREACH(agent->watchers, watcher) {
		if (watcher->kernel)
			tell(watcher, json_pack("{s:s,s:I}", "kind", "suppressed", "count",
						(json_int_t)count));
	}
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	unsigned int bad = 0;

	(void)fd;
	(void)what;
	if (dp_events_read(agent->events, RECORDS_A_TURN, &bad) < 0 || bad)
		log_warning("ring buffer", "why", "records of an unknown size", NULL);
}

/* Two mappings of the ring are 2 MiB of resident memory: only while somebody looks, or a Log rule
 * is in force. What nobody reads stays in the ring until it is full; a new reader does not want to
 * see it. */
static int open_ring(struct agent *agent, struct err *err)
{
	int r;

	if (agent->events)
		return 0;
	r = dp_events_open(dp_get_map(agent->dp, "mg_events"), on_event, agent, &agent->events,
			   err);
	if (r < 0)
		return r;
	dp_events_skip(agent->events);
	agent->events_event = event_new(agent->base, dp_events_fd(agent->events),
					EV_READ | EV_PERSIST, on_readable, agent);
	event_priority_set(agent->events_event, 2);
	event_add(agent->events_event, NULL);
	return 0;
}

static void close_ring(struct agent *agent)
{
	if (agent->events_event)
		event_free(agent->events_event);
	agent->events_event = NULL;
	dp_events_close(agent->events);
	agent->events = NULL;
}

static void watcher_free(struct agent *agent, struct watcher *watcher)
{
	DL_DELETE(agent->watchers, watcher);
	free(watcher->from);
	free(watcher->to);
	free(watcher);
}

/* New flows cost a record each: made only while somebody reads them. */
static void set_flow_events(struct agent *agent)
{
	const struct watcher *watcher;
	bool wanted = false;

	DL_FOREACH(agent->watchers, watcher)
		wanted |= watcher->allowed;
	if (agent->facts.flow_events == wanted)
		return;
	agent->facts.flow_events = wanted;
	agent_dirty(agent, CHANGE_NODES);
}

/* What nobody reads any more. */
static void close_sources(struct agent *agent)
{
	const struct watcher *watcher;
	bool kernel = false;

	DL_FOREACH(agent->watchers, watcher)
		kernel |= watcher->kernel;
	if (!kernel)
		kernel_drops_stop(agent);
	if (!agent->watchers && !agent->packet_log)
		close_ring(agent);
}

void monitor_logs(struct agent *agent)
{
	struct err err;

	if (!agent->packet_log)
		close_sources(agent);
	else if (open_ring(agent, &err) < 0)
		log_warning("what Log rules see is not logged", "why", err.text, NULL);
}

static int open_sources(struct agent *agent, bool kernel, struct err *err)
{
	int r = open_ring(agent, err);

	if (!r && kernel)
		r = kernel_drops_start(agent, err);
	if (r < 0)
		close_sources(agent);
	return r;
}

static void on_gone(void *context, struct server_call *call)
{
	struct agent *agent = context;
	struct watcher *watcher, *next;

	DL_FOREACH_SAFE(agent->watchers, watcher, next) {
		if (watcher->call == call)
			watcher_free(agent, watcher);
	}
	set_flow_events(agent);
	close_sources(agent);
}

static char *copy_of(const json_t *request, const char *key)
{
	const char *text = json_string_value(json_object_get(request, key));

	return text && *text ? xstrdup(text) : NULL;
}

void monitor_handle(struct agent *agent, struct server_call *call, const json_t *request)
{
	const char *verdict = json_string_value(json_object_get(request, "verdict"));
	bool kernel = json_is_true(json_object_get(request, "kernel_drops"));
	struct watcher *watcher;
	struct err err;

	if (verdict && strcmp(verdict, "dropped") && strcmp(verdict, "allowed")) {
		server_fail(call, CODE_CANNOT, "verdict \"%s\": must be dropped or allowed",
			    verdict);
		return;
	}
	if (open_sources(agent, kernel, &err) < 0) {
		server_fail(call, CODE_CANNOT, "%s", err.text);
		return;
	}
	watcher = xcalloc(1, sizeof(*watcher));
	watcher->call = call;
	watcher->from = copy_of(request, "from");
	watcher->to = copy_of(request, "to");
	watcher->dropped = !verdict || !strcmp(verdict, "dropped");
	watcher->allowed = !verdict || !strcmp(verdict, "allowed");
	watcher->kernel = kernel;
	DL_APPEND(agent->watchers, watcher);
	server_keep(call, on_gone, agent);
	server_stream(call, json_pack("{s:b}", "ok", 1));
	set_flow_events(agent);
}

void monitor_stop(struct agent *agent)
{
	close_ring(agent);
	kernel_drops_stop(agent);
}
