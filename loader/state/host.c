/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HostEndpoints of all nodes: their expectedIPs are what rules mean that select their labels, as
 * the nets of a network set are. Those of this node have slots, which the agent gives.
 */
#include <string.h>

#include "base/inet.h"
#include "model/host.h"
#include "state/internal.h"

struct state_host {
	const struct object *object;
	UT_hash_handle hh; /* by name */
};

/* No namespace has a capital letter. */
static char *netset_key(const char *name)
{
	return xasprintf("HostEndpoint/%s", name);
}

static struct state_host *host_find(const struct state *state, const char *name)
{
	struct state_host *host;

	HASH_FIND_STR(state->hosts, name, host);
	return host;
}

static void tell(struct state *state, const struct host_endpoint *host)
{
	const struct engine_facts facts = { .kind = ENGINE_NETSET,
					    .labels = to_engine_labels(&host->base.labels) };
	_cleanup_free_ struct mg_prefix *nets = xcalloc(host->ip_count, sizeof(*nets));
	_cleanup_free_ char *key = netset_key(host->base.name);

	for (size_t i = 0; i < host->ip_count; i++)
		nets[i] = host_prefix(&host->ips[i]);
	engine_netset_set(state->engine, key, &facts, nets, host->ip_count);
}

static void host_free(struct state *state, struct state_host *host)
{
	HASH_DEL(state->hosts, host);
	object_unref((struct object *)host->object);
	free(host);
}

void host_set(struct state *state, const struct object *object)
{
	struct state_host *host = host_find(state, object->name);

	if (host)
		host_free(state, host);
	host = xcalloc(1, sizeof(*host));
	host->object = object_ref(object);
	HASH_ADD_KEYPTR(hh, state->hosts, host->object->name, strlen(object->name), host);
	tell(state, host_endpoint_of(object));
}

void host_del(struct state *state, const char *name)
{
	_cleanup_free_ char *key = netset_key(name);
	struct state_host *host = host_find(state, name);

	if (!host)
		return;
	engine_netset_del(state->engine, key);
	host_free(state, host);
}

void hosts_free(struct state *state)
{
	struct state_host *host, *next;

	HASH_ITER(hh, state->hosts, host, next)
		host_free(state, host);
}

void state_each_host(const struct state *state,
		     void (*each)(void *ctx, const struct host_endpoint *host), void *ctx)
{
	for (const struct state_host *host = state->hosts; host; host = host->hh.next) {
		if (!strcmp(host_endpoint_of(host->object)->node, state->node))
			each(ctx, host_endpoint_of(host->object));
	}
}

static bool allows_by_default(const struct host_endpoint *host)
{
	for (size_t i = 0; i < host->profile_count; i++) {
		if (!strcmp(host->profiles[i], PROFILE_DEFAULT_ALLOW))
			return true;
	}
	return false;
}

void state_host_judges(struct state *state, const struct host_endpoint *host, uint16_t slot)
{
	const struct engine_endpoint endpoint = {
		.facts = { .kind = ENGINE_HOST_END,
			   .labels = to_engine_labels(&host->base.labels) },
		.default_deny = !allows_by_default(host),
	};

	engine_endpoint_set(state->engine, slot, &endpoint);
}

void state_host_leaves(struct state *state, uint16_t slot)
{
	engine_endpoint_del(state->engine, slot);
}
