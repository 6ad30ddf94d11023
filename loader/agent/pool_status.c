/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pool_status.h"

#include <errno.h>
#include <time.h>

#include "agent/duties.h"
#include "agent/pools.h"
#include "base/json.h"
#include "base/log.h"
#include "controller/pool_condition.h"

#define LOOK_SECONDS 2

struct look {
	struct agent *agent;
	bool again; /* something is not as it should be, and may be later */
};

static uint64_t now_utc_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void write_status(struct look *look, const struct object *pool, json_t *changed)
{
	struct store_write write = { .op = STORE_UPDATE_STATUS, .object = changed };
	struct err err = { 0 };
	int r = store_commit(look->agent->store, &write, 1, &err);

	store_writes_done(&write, 1);
	look->again |= r == -ESTALE || store_unreachable(r);
	if (r < 0 && r != -ESTALE && r != -EROFS)
		log_warning("status of an IPPool", "pool", pool->name, "why", err.text, NULL);
}

static void look_at(void *arg, const struct object *pool, const char *behind)
{
	const struct store_key key = { .kind = store_kind(KIND_IP_POOL), .name = pool->name };
	_cleanup_json_ json_t *stored = NULL, *changed = NULL;
	struct look *look = arg;

	if (store_get(look->agent->store, &key, &stored, NULL) < 0)
		return;
	changed = pool_condition(stored, behind, now_utc_ms());
	if (!changed)
		return;
	if (duties_held(look->agent)) {
		write_status(look, pool, changed);
	} else {
		duties_wanted(look->agent);
		look->again = true;
	}
}

static void on_look(evutil_socket_t fd, short what, void *context)
{
	struct look look = { .agent = context };

	(void)fd;
	(void)what;
	pools_each(look.agent, look_at, &look);
	if (look.again)
		pool_status_later(look.agent);
}

void pool_status_later(struct agent *agent)
{
	const struct timeval when = { .tv_sec = LOOK_SECONDS };

	if (!agent->pool_status_event)
		agent->pool_status_event = evtimer_new(agent->base, on_look, agent);
	event_add(agent->pool_status_event, &when);
}

void pool_status_stop(struct agent *agent)
{
	if (agent->pool_status_event)
		event_free(agent->pool_status_event);
}
