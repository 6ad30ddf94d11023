/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pools.h"

#include <string.h>
#include <utlist.h>

#include "agent/pool_status.h"
#include "agent/pool_switch.h"
#include "agent/problems.h"
#include "base/arena.h"
#include "base/inet.h"
#include "model/ippool.h"
#include "model/pool_order.h"

struct agent_pool {
	const struct object *object;
	bool in_force; /* the state has it, or a former content of it */
	bool changed;  /* the state has not been told of object */
	char *behind;  /* what keeps it out, for people; NULL: nothing */
	struct agent_pool *next;
};

static struct agent_pool *find(struct agent *agent, const char *name)
{
	struct agent_pool *pool;

	LL_FOREACH(agent->pools, pool)
		if (!strcmp(pool->object->name, name))
			return pool;
	return NULL;
}

static void withdraw(struct agent *agent, struct agent_pool *pool)
{
	pool_switch_cancel(agent, pool->object->name);
	if (!pool->in_force)
		return;
	pool->in_force = false;
	pool->changed = true;
	state_object_del(agent->state, KIND_IP_POOL, "", pool->object->name);
	agent_dirty(agent, CHANGE_LINKS | CHANGE_NODES | CHANGE_ROUTES);
}

static void pool_free(struct agent_pool *pool)
{
	object_unref((struct object *)pool->object);
	free(pool->behind);
	free(pool);
}

void pools_set(struct agent *agent, const struct object *object)
{
	struct agent_pool *pool = find(agent, object->name);

	agent->pools_changed = true;
	if (!pool) {
		pool = xcalloc(1, sizeof(*pool));
		LL_PREPEND(agent->pools, pool);
	}
	object_unref((struct object *)pool->object);
	pool->object = object_ref(object);
	pool->changed = true;
}

void pools_del(struct agent *agent, const char *name)
{
	struct agent_pool *pool = find(agent, name);
	_cleanup_free_ char *title = xasprintf("IPPool %s", name);

	if (!pool)
		return;
	agent->pools_changed = true;
	problems_overlap(agent, title, NULL);
	withdraw(agent, pool);
	LL_DELETE(agent->pools, pool);
	pool_free(pool);
}

static void refuse(struct agent *agent, struct agent_pool *pool, const struct pool_place *place)
{
	_cleanup_free_ char *title = object_title(pool->object), *text = NULL;
	char cidr[PREFIX_TEXT_MAX], other[PREFIX_TEXT_MAX];

	free(pool->behind);
	pool->behind = NULL;
	if (place->behind) {
		pool->behind = xasprintf("%s overlaps with IPPool %s (%s), which is older",
					 prefix_format(place->cidr, cidr), place->behind->name,
					 prefix_format(place->behind->cidr, other));
		text = xasprintf("spec.cidr: %s", pool->behind);
	}
	problems_overlap(agent, title, text);
	if (place->behind)
		withdraw(agent, pool);
}

/* A change of the encapsulation comes into force a moment later (pool_switch.h). */
static void tell(struct agent *agent, struct agent_pool *pool)
{
	const bool former = pool->in_force;

	if (former && !pool->changed)
		return;
	pool->in_force = true;
	pool->changed = false;
	if (former && agent->synced && pool_switch(agent, pool->object))
		return;
	state_object_set(agent->state, pool->object);
	agent_dirty(agent, CHANGE_LINKS | CHANGE_NODES | CHANGE_ROUTES);
}

static size_t places_of(struct agent *agent, struct pool_place **ret_places)
{
	struct agent_pool *pool;
	size_t count = 0, i = 0;

	LL_COUNT(agent->pools, pool, count);
	*ret_places = xcalloc(count + 1, sizeof(**ret_places));
	LL_FOREACH(agent->pools, pool) {
		const struct ip_pool *ip_pool = ip_pool_of(pool->object);

		(*ret_places)[i++] = (struct pool_place){ .cidr = &ip_pool->cidr,
							  .created = ip_pool->created,
							  .name = pool->object->name };
	}
	pool_places_settle(*ret_places, count);
	return count;
}

void pools_settle(struct agent *agent)
{
	_cleanup_free_ struct pool_place *places = NULL;
	size_t count;

	if (!agent->pools_changed)
		return;
	agent->pools_changed = false;
	count = places_of(agent, &places);
	/* At no moment do two that overlap stand. */
	for (size_t i = 0; i < count; i++)
		refuse(agent, find(agent, places[i].name), &places[i]);
	for (size_t i = 0; i < count; i++) {
		if (!places[i].behind)
			tell(agent, find(agent, places[i].name));
	}
	pool_status_later(agent);
}

void pools_each(struct agent *agent,
		void (*fn)(void *arg, const struct object *pool, const char *behind), void *arg)
{
	struct agent_pool *pool;

	LL_FOREACH(agent->pools, pool)
		fn(arg, pool->object, pool->behind);
}

void pools_stop(struct agent *agent)
{
	struct agent_pool *pool, *next;

	LL_FOREACH_SAFE(agent->pools, pool, next)
		pool_free(pool);
}
