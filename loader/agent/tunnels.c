/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tunnels.h"

#include <string.h>

#include "agent/node.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/log.h"
#include "model/ippool.h"

static const struct tunnel_kind {
	const char *handle; /* before the node's name */
	const char *type;   /* Calico's attribute */
	const char *annotation;
	struct state_tunnel pools;
} kinds[] = {
	{ "ipip-tunnel-addr-",
	  "ipipTunnelAddress",
	  "projectcalico.org/IPv4IPIPTunnelAddr",
	  { .vxlan = false } },
	{ "vxlan-tunnel-addr-",
	  "vxlanTunnelAddress",
	  "projectcalico.org/IPv4VXLANTunnelAddr",
	  { .vxlan = true } },
	{ "vxlan-v6-tunnel-addr-",
	  "vxlanV6TunnelAddress",
	  "projectcalico.org/IPv6VXLANTunnelAddr",
	  { .vxlan = true, .v6 = true } },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct tunnel {
	struct agent *agent;
	const struct tunnel_kind *kind;
	union mg_addr addr; /* zero: none */
	bool asked;	    /* the answer is on its way */
	bool known;	    /* addr is what is held; before that a former agent's may be */
	char *problem;	    /* said already */
};

struct tunnels {
	struct tunnel v[KINDS];
};

/* --- what pools ask for ---------------------------------------------------------------------- */

struct wish {
	json_t *names;
	const union mg_addr *addr;
	bool has; /* one of the pools has the address */
};

static void add_pool(void *context, const struct object *object)
{
	struct wish *wish = context;

	json_array_append_new(wish->names, json_string(object->name));
	wish->has |= prefix_contains(&ip_pool_of(object)->cidr, wish->addr);
}

/* --- asking and giving back ------------------------------------------------------------------ */

static char *handle_of(const struct tunnel *tunnel)
{
	return xasprintf("%s%s", tunnel->kind->handle, tunnel->agent->config.node);
}

static void say(struct tunnel *tunnel, const char *text)
{
	if (text && (!tunnel->problem || strcmp(tunnel->problem, text)))
		log_warning("no tunnel address", "type", tunnel->kind->type, "why", text, NULL);
	free(tunnel->problem);
	tunnel->problem = text ? xstrdup(text) : NULL;
}

static void on_given(void *context, const struct ipam_result *result)
{
	struct tunnel *tunnel = context;
	char text[ADDR_TEXT_MAX];

	tunnel->asked = false;
	if (result->status == -ECANCELED)
		return;
	say(tunnel, result->status < 0 ? result->err.text : NULL);
	if (result->status < 0 || !result->count)
		return;
	tunnel->known = true;
	tunnel->addr = result->addrs[0].addr;
	log_info("tunnel address", "type", tunnel->kind->type, "address",
		 addr_format(&tunnel->addr, text), NULL);
	node_changed(tunnel->agent);
	/* Pools may have changed meanwhile. */
	agent_dirty(tunnel->agent, CHANGE_NODES);
}

static void ask(struct tunnel *tunnel, const json_t *pools)
{
	_cleanup_free_ char *handle = handle_of(tunnel), *list = json_dumps(pools, 0);
	const struct ipam_tunnel request = { .handle = handle,
					     .type = tunnel->kind->type,
					     .family = tunnel->kind->pools.v6 ? IPAM_V6 : IPAM_V4,
					     .pools = list };

	tunnel->asked = true;
	ipam_request_tunnel(tunnel->agent->ipam, &request, on_given, tunnel);
	event_active(tunnel->agent->ipam_event, 0, 0);
}

/* The release is on disk: another may be asked for now. */
static void on_released(void *context, const struct ipam_result *result)
{
	struct tunnel *tunnel = context;

	tunnel->asked = false;
	if (result->status != -ECANCELED)
		agent_dirty(tunnel->agent, CHANGE_NODES);
}

static void give_back(struct tunnel *tunnel)
{
	_cleanup_free_ char *handle = handle_of(tunnel);

	tunnel->known = true;
	memset(&tunnel->addr, 0, sizeof(tunnel->addr));
	tunnel->asked = true;
	ipam_release_handle(tunnel->agent->ipam, handle, on_released, tunnel);
	event_active(tunnel->agent->ipam_event, 0, 0);
	log_debug("tunnel address released", "type", tunnel->kind->type, NULL);
	node_changed(tunnel->agent);
}

/* During a pool's switch the former kind of tunnel is still in use. */
static bool in_switch(const struct tunnel *tunnel)
{
	const struct state_node_facts *facts = &tunnel->agent->facts;

	return tunnel->kind->pools.vxlan ? facts->accept_vxlan : facts->accept_ipip;
}

static void refresh(struct tunnel *tunnel)
{
	_cleanup_json_ json_t *names = json_array();
	struct wish wish = { .names = names, .addr = &tunnel->addr };
	bool wanted, held = !tunnel->known || !addr_is_zero(&tunnel->addr);

	if (tunnel->asked)
		return;
	state_tunnel_pools(tunnel->agent->state, &tunnel->kind->pools, add_pool, &wish);
	wanted = json_array_size(names);
	if (!wanted)
		say(tunnel, NULL);
	if (wanted ? tunnel->known && held && !wish.has : held && !in_switch(tunnel))
		give_back(tunnel);
	else if (wanted && addr_is_zero(&tunnel->addr))
		ask(tunnel, names);
}

void tunnels_refresh(struct agent *agent)
{
	if (!agent->tunnels) {
		agent->tunnels = xcalloc(1, sizeof(*agent->tunnels));
		for (size_t i = 0; i < KINDS; i++)
			agent->tunnels->v[i] = (struct tunnel){ .agent = agent, .kind = &kinds[i] };
	}
	for (size_t i = 0; i < KINDS; i++)
		refresh(&agent->tunnels->v[i]);
}

void tunnels_annotate(const struct agent *agent, json_t *annotations)
{
	for (size_t i = 0; agent->tunnels && i < KINDS; i++) {
		const struct tunnel *tunnel = &agent->tunnels->v[i];
		char text[ADDR_TEXT_MAX];

		if (!tunnel->known)
			continue;
		if (addr_is_zero(&tunnel->addr))
			json_object_del(annotations, tunnel->kind->annotation);
		else
			json_object_set_new(annotations, tunnel->kind->annotation,
					    json_string(addr_format(&tunnel->addr, text)));
	}
}

void tunnels_stop(struct agent *agent)
{
	for (size_t i = 0; agent->tunnels && i < KINDS; i++)
		free(agent->tunnels->v[i].problem);
	free(agent->tunnels);
}
