/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pool_switch.h"

#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/log.h"
#include "model/ippool.h"

#define SWITCH_DELAY_MS 1000
#define SWITCH_KEEP_SECONDS 60

struct pool_change {
	struct agent *agent;
	const struct object *pool;
	struct event *event;
	struct pool_change *next;
};

static void change_free(struct pool_change *change)
{
	event_free(change->event);
	object_unref((struct object *)change->pool);
	free(change);
}

static void on_due(evutil_socket_t fd, short what, void *context)
{
	struct pool_change *change = context;
	struct agent *agent = change->agent;

	(void)fd;
	(void)what;
	log_info("encapsulation switched", "pool", change->pool->name, NULL);
	state_object_set(agent->state, change->pool);
	LL_DELETE(agent->pool_changes, change);
	change_free(change);
	agent_dirty(agent, CHANGE_LINKS | CHANGE_NODES | CHANGE_ROUTES);
}

/* Old kinds are accepted until now: a later change may have begun meanwhile, then its end counts.
 */
static void on_keep_over(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;

	(void)fd;
	(void)what;
	agent->facts.accept_ipip = agent->facts.accept_vxlan = false;
	agent_dirty(agent, CHANGE_LINKS | CHANGE_NODES);
}

void pool_switch_cancel(struct agent *agent, const char *name)
{
	struct pool_change *change, *next;

	LL_FOREACH_SAFE(agent->pool_changes, change, next) {
		if (strcmp(change->pool->name, name))
			continue;
		LL_DELETE(agent->pool_changes, change);
		change_free(change);
	}
}

static void accept_kinds(struct agent *agent, const struct ip_pool *pool)
{
	agent->facts.accept_ipip |= pool->ipip != ENCAP_NEVER;
	agent->facts.accept_vxlan |= pool->vxlan != ENCAP_NEVER;
}

bool pool_switch(struct agent *agent, const struct object *object)
{
	const struct timeval delay = { .tv_usec = SWITCH_DELAY_MS % 1000 * 1000,
				       .tv_sec = SWITCH_DELAY_MS / 1000 };
	const struct timeval keep = { .tv_sec = SWITCH_KEEP_SECONDS };
	const struct ip_pool *now = ip_pool_of(state_pool(agent->state, object->name));
	const struct ip_pool *then = ip_pool_of(object);
	struct pool_change *change;

	pool_switch_cancel(agent, object->name);
	if (!now || !then || (now->ipip == then->ipip && now->vxlan == then->vxlan))
		return false;
	change = xcalloc(1, sizeof(*change));
	change->agent = agent;
	change->pool = object_ref(object);
	change->event = evtimer_new(agent->base, on_due, change);
	LL_PREPEND(agent->pool_changes, change);
	accept_kinds(agent, now);
	accept_kinds(agent, then);
	event_add(change->event, &delay);
	if (!agent->keep_event)
		agent->keep_event = evtimer_new(agent->base, on_keep_over, agent);
	event_add(agent->keep_event, &keep);
	agent_dirty(agent, CHANGE_LINKS | CHANGE_NODES);
	return true;
}

void pool_switch_stop(struct agent *agent)
{
	struct pool_change *change, *next;

	LL_FOREACH_SAFE(agent->pool_changes, change, next)
		change_free(change);
	if (agent->keep_event)
		event_free(agent->keep_event);
}
