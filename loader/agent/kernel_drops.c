/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kernel_drops.h"

#include <string.h>

#include "agent/monitor.h"
#include "base/arena.h"
#include "base/log.h"
#include "dataplane/kernel_drops.h"
#include "dataplane/netns.h"

#define RECORDS_A_TURN 256
#define MISSED_SECONDS 1

struct kernel_drops {
	struct agent *agent;
	struct dp_kernel_drops *drops;
	struct event *readable, *tick;
};

static void on_drop(const struct mg_kdrop *drop, void *context)
{
	monitor_kernel_drop(context, drop);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	const struct kernel_drops *watch = context;

	(void)fd;
	(void)what;
	dp_kernel_drops_read(watch->drops, RECORDS_A_TURN);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
	const struct kernel_drops *watch = context;
	__u64 missed = dp_kernel_drops_missed(watch->drops);

	(void)fd;
	(void)what;
	if (missed)
		monitor_suppressed(watch->agent, missed);
}

void kernel_drops_watch(struct agent *agent, const struct endpoint *endpoint)
{
	int r;

	if (!agent->kernel_drops || !endpoint->netns_cookie)
		return;
	r = dp_kernel_drops_watch(agent->kernel_drops->drops, endpoint->netns_cookie,
				  endpoint->slot);
	if (r < 0)
		log_warning("drops of the kernel are not shown of a pod", "namespace", endpoint->ns,
			    "pod", endpoint->pod, "why", strerror(-r), NULL);
}

void kernel_drops_forget(struct agent *agent, const struct endpoint *endpoint)
{
	if (agent->kernel_drops && endpoint->netns_cookie)
		dp_kernel_drops_forget(agent->kernel_drops->drops, endpoint->netns_cookie);
}

static int watch_all(struct agent *agent, struct err *err)
{
	__u64 own;
	int r = netns_own_cookie(&own, err);

	if (r < 0)
		return r;
	r = dp_kernel_drops_watch(agent->kernel_drops->drops, own, MG_SLOT_NONE);
	if (r < 0)
		return err_errno(err, r, "this node's namespace");
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next)
		kernel_drops_watch(agent, ep);
	return 0;
}

static void listen_to(struct agent *agent, struct kernel_drops *watch)
{
	const struct timeval every = { .tv_sec = MISSED_SECONDS };

	watch->readable = event_new(agent->base, dp_kernel_drops_fd(watch->drops),
				    EV_READ | EV_PERSIST, on_readable, watch);
	watch->tick = event_new(agent->base, -1, EV_PERSIST, on_tick, watch);
	event_priority_set(watch->readable, AGENT_PRIORITIES - 1);
	event_priority_set(watch->tick, AGENT_PRIORITIES - 1);
	event_add(watch->readable, NULL);
	event_add(watch->tick, &every);
}

int kernel_drops_start(struct agent *agent, struct err *err)
{
	struct kernel_drops *watch;
	int r;

	if (agent->kernel_drops)
		return 0;
	watch = xcalloc(1, sizeof(*watch));
	watch->agent = agent;
	agent->kernel_drops = watch;
	r = dp_kernel_drops_open(agent->dp, on_drop, agent, &watch->drops, err);
	if (!r)
		r = watch_all(agent, err);
	if (r < 0)
		kernel_drops_stop(agent);
	else
		listen_to(agent, watch);
	return r;
}

void kernel_drops_stop(struct agent *agent)
{
	struct kernel_drops *watch = agent->kernel_drops;

	if (!watch)
		return;
	if (watch->readable)
		event_free(watch->readable);
	if (watch->tick)
		event_free(watch->tick);
	dp_kernel_drops_close(watch->drops);
	free(watch);
	agent->kernel_drops = NULL;
}

/* A pod that has gone meanwhile has no name any more. */
void kernel_drop_names(struct agent *agent, const struct mg_kdrop *drop, json_t *record)
{
	const struct endpoint *ep = drop->slot < agent->slots ? agent->by_slot[drop->slot] : NULL;
	_cleanup_free_ char *pod = ep ? xasprintf("%s/%s", ep->ns, ep->pod) : xstrdup("");
	char number[DP_KERNEL_REASON_TEXT], function[sizeof(drop->function)];

	snprintf(function, sizeof(function), "%s", drop->function);
	json_object_set_new(record, "reason",
			    json_string(dp_kernel_drops_reason(agent->kernel_drops->drops,
							       drop->reason, number)));
	json_object_set_new(record, "function", json_string(function));
	json_object_set_new(record, "pod", json_string(pod));
}
