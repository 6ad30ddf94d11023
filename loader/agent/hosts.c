/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/hosts.h"

#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "dataplane/load.h"
#include "model/host.h"
#include "policy/hmap.h"

struct host {
	char *name;
	const struct object *object; /* NULL: it is gone */
	uint16_t slot;		     /* 0: there was none */
	bool seen;
	UT_hash_handle hh;
};

static const struct host_endpoint *spec_of(const struct host *host)
{
	return host_endpoint_of(host->object);
}

static struct host *host_find(const struct agent *agent, const char *name)
{
	struct host *host;

	HASH_FIND_STR(agent->hosts, name, host);
	return host;
}

/* --- slots --------------------------------------------------------------------------------- */

bool hosts_have_slot(const struct agent *agent, uint16_t slot)
{
	return hosts_name_of_slot(agent, slot) != NULL;
}

const char *hosts_name_of_slot(const struct agent *agent, uint16_t slot)
{
	for (const struct host *host = agent->hosts; host; host = host->hh.next) {
		if (slot && host->slot == slot)
			return host->name;
	}
	return NULL;
}

void hosts_each(const struct agent *agent, void (*each)(void *ctx, const char *name, uint16_t slot),
		void *ctx)
{
	for (const struct host *host = agent->hosts; host; host = host->hh.next) {
		if (host->object && host->slot)
			each(ctx, host->name, host->slot);
	}
}

/* By its name, from the end: the same after a restart, and away from pods', which begin at 1. */
static uint16_t free_slot(const struct agent *agent, const char *name)
{
	const uint32_t last = agent->slots - 1, range = last / 4 + 1;
	const uint32_t start = hash_text(name, 0) % range;

	for (uint32_t i = 0; i < range; i++) {
		uint16_t slot = (uint16_t)(last - (start + i) % range);

		if (slot && !agent->by_slot[slot] && !hosts_have_slot(agent, slot))
			return slot;
	}
	return 0;
}

/* --- objects ------------------------------------------------------------------------------- */

static void look_at(void *context, const struct host_endpoint *from)
{
	struct agent *agent = context;
	struct host *host = host_find(agent, from->base.name);

	if (!host) {
		host = xcalloc(1, sizeof(*host));
		host->name = xstrdup(from->base.name);
		host->slot = free_slot(agent, host->name);
		if (!host->slot)
			log_error("no slot is free", "host endpoint", host->name, NULL);
		HASH_ADD_KEYPTR(hh, agent->hosts, host->name, strlen(host->name), host);
	}
	host->seen = true;
	if (host->object == &from->base || !host->slot)
		return;
	object_unref((struct object *)host->object);
	host->object = object_ref(&from->base);
	state_host_judges(agent->state, from, host->slot);
}

/* What a former agent put in force at pods and tunnels stays so until this one's policy is. */
static void take_former(struct agent *agent)
{
	const __u32 zero = 0;
	struct mg_local row;

	if (dp_map_get(dp_get_map(agent->dp, "mg_local"), &zero, &row))
		return;
	agent->facts.host_any = row.host_any;
	agent->facts.host_policy = row.flags & MG_LOCAL_HOST_POLICY;
}

void hosts_look(struct agent *agent)
{
	if (!agent->hosts_applied)
		take_former(agent);
	for (struct host *host = agent->hosts; host; host = host->hh.next)
		host->seen = false;
	state_each_host(agent->state, look_at, agent);
	for (struct host *host = agent->hosts; host; host = host->hh.next) {
		if (host->seen)
			continue;
		object_unref((struct object *)host->object);
		host->object = NULL;
	}
}

/* --- interfaces ---------------------------------------------------------------------------- */

bool hosts_name(const struct agent *agent, const char *interface)
{
	for (const struct host *host = agent->hosts; host; host = host->hh.next) {
		if (host->object && !strcmp(spec_of(host)->interface, interface))
			return true;
	}
	return false;
}

static bool expects(const struct host_endpoint *host, int ifindex, const struct net_addr *addrs,
		    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < host->ip_count; k++) {
			if (addrs[i].ifindex == ifindex && !addr_cmp(&addrs[i].addr, &host->ips[k]))
				return true;
		}
	}
	return false;
}

static bool is_of(const struct host_endpoint *host, const struct net_link *link,
		  const struct net_addr *addrs, size_t count)
{
	if (*host->interface)
		return !strcmp(host->interface, link->name);
	return expects(host, link->ifindex, addrs, count);
}

static const struct host *for_all(const struct agent *agent)
{
	const struct host *first = NULL;

	for (const struct host *host = agent->hosts; host; host = host->hh.next) {
		if (host->object && host_is_for_all(spec_of(host)) &&
		    (!first || strcmp(host->name, first->name) < 0))
			first = host;
	}
	return first;
}

uint16_t hosts_slot(const struct agent *agent, const struct net_link *link,
		    const struct net_addr *addrs, size_t count)
{
	const struct host *first = NULL;

	for (const struct host *host = agent->hosts; host; host = host->hh.next) {
		if (host->object && is_of(spec_of(host), link, addrs, count) &&
		    (!first || strcmp(host->name, first->name) < 0))
			first = host;
	}
	if (!first)
		first = for_all(agent);
	return first ? first->slot : 0;
}

/* --- in force ------------------------------------------------------------------------------ */

/* What a former agent left is in force until this one's policy is. */
uint16_t hosts_in_force(const struct agent *agent, int ifindex)
{
	__u32 key = (__u32)ifindex;
	struct mg_uplink row;

	for (unsigned int i = 0; i < UPLINKS_MAX && agent->hosts_applied; i++) {
		if (agent->host_uses[i].ifindex == ifindex)
			return agent->host_uses[i].slot;
	}
	if (agent->hosts_applied || dp_map_get(dp_get_map(agent->dp, "mg_uplinks"), &key, &row))
		return 0;
	return row.host;
}

/* Its sets are there. */
static bool is_ready(const struct agent *agent, uint16_t slot)
{
	return !slot ||
	       engine_endpoint_set_number(agent->engine, slot, MG_STAGE_NORMAL_IN) != MG_SET_NONE;
}

static bool put(uint16_t *at, uint16_t slot)
{
	bool differs = *at != slot;

	*at = slot;
	return differs;
}

bool hosts_apply(struct agent *agent)
{
	const struct host *any = for_all(agent);
	uint16_t slot = any ? any->slot : 0;
	bool changed = !agent->hosts_applied, judged = false;

	if (is_ready(agent, slot))
		changed |= put(&agent->facts.host_any, slot);
	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		struct uplink *uplink = &agent->uplinks[i];

		if (is_ready(agent, uplink->host))
			changed |= put(&uplink->row.host, uplink->host);
		judged |= uplink->row.host;
	}
	judged |= agent->facts.host_any;
	changed |= agent->facts.host_policy != judged;
	agent->facts.host_policy = judged;
	return changed;
}

static bool is_used(const struct agent *agent, uint16_t slot)
{
	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		if (agent->uplinks[i].row.host == slot)
			return true;
	}
	return agent->facts.host_any == slot;
}

static void host_free(struct agent *agent, struct host *host)
{
	HASH_DEL(agent->hosts, host);
	object_unref((struct object *)host->object);
	free(host->name);
	free(host);
}

void hosts_applied(struct agent *agent)
{
	struct host *host, *next;

	memset(agent->host_uses, 0, sizeof(agent->host_uses));
	for (unsigned int i = 0; i < agent->uplink_count; i++)
		agent->host_uses[i] =
			(struct host_use){ agent->uplinks[i].ifindex, agent->uplinks[i].row.host };
	agent->hosts_applied = true;
	HASH_ITER(hh, agent->hosts, host, next) {
		if (host->object || is_used(agent, host->slot))
			continue;
		if (host->slot) {
			state_host_leaves(agent->state, host->slot);
			agent_dirty(agent, CHANGE_POLICY);
		}
		host_free(agent, host);
	}
}

void hosts_stop(struct agent *agent)
{
	struct host *host, *next;

	HASH_ITER(hh, agent->hosts, host, next)
		host_free(agent, host);
}

/* --- rows ---------------------------------------------------------------------------------- */

static struct mg_uplink uplink_of(const void *value)
{
	struct mg_uplink row = { 0 };

	if (value)
		memcpy(&row, value, sizeof(row));
	return row;
}

static struct mg_local local_of(const void *value)
{
	struct mg_local row = { 0 };

	if (value)
		memcpy(&row, value, sizeof(row));
	return row;
}

void hosts_on_row(const char *map, const void *key, const void *before, const void *after,
		  void *data)
{
	struct agent *agent = data;

	(void)key;
	if (!strcmp(map, "mg_failsafe"))
		agent->hosts_changed = true;
	if (!strcmp(map, "mg_uplinks"))
		agent->hosts_changed |= uplink_of(before).host != uplink_of(after).host;
	if (!strcmp(map, "mg_local")) {
		const __u32 flags =
			MG_LOCAL_POD_HOST_DROP | MG_LOCAL_POD_HOST_JUDGE | MG_LOCAL_HOST_POLICY;
		const struct mg_local from = local_of(before), to = local_of(after);

		agent->hosts_changed |=
			from.host_any != to.host_any || (from.flags ^ to.flags) & flags;
	}
}
