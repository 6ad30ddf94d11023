/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to the other nodes, and what the kernel tells of its network.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "agent/node.h"

#include "agent/endpoint.h"
#include "agent/gone.h"
#include "agent/node_object.h"
#include "agent/own_address.h"
#include "agent/settings.h"
#include "agent/tunnels.h"
#include "agent/uplink.h"
#include "base/inet.h"
#include "base/log.h"

#define CHANGE_WAYS (CHANGE_LINKS | CHANGE_NODES | CHANGE_ROUTES)

/* --- ways ---------------------------------------------------------------------------------- */

static bool in_subnet(const union mg_addr *own, unsigned int bits, const union mg_addr *other)
{
	struct mg_prefix prefix = { .addr = *own, .len = bits };

	if (addr_is4(own))
		prefix.len += MG_V4_PREFIX_BITS;
	return !addr_is_zero(own) && prefix_contains(&prefix, other);
}

static void refresh_way(struct agent *agent, const struct state_peer *peer, int family)
{
	const union mg_addr *addr = family == 4 ? &peer->ip4 : &peer->ip6;
	const union mg_addr *own = family == 4 ? &agent->own4 : &agent->own6;
	unsigned int bits = family == 4 ? agent->own4_bits : agent->own6_bits;
	struct net_route route;
	struct mg_way way = { 0 };

	if (!addr_is_zero(addr) && !addr_is_zero(own) &&
	    !net_route_lookup(agent->net, addr, &route, NULL) && route.type == RTN_UNICAST) {
		way.ifindex = (uint32_t)route.ifindex;
		way.gateway = route.gateway;
		way.mtu = route.mtu ? route.mtu : uplink_mtu(agent, route.ifindex);
	}
	state_way_set(agent->state, peer->number, family, &way, in_subnet(own, bits, addr));
}

static void refresh_peer(void *context, const struct state_peer *peer)
{
	struct agent *agent = context;

	if (peer->self)
		return;
	refresh_way(agent, peer, 4);
	refresh_way(agent, peer, 6);
}

void node_refresh(struct agent *agent)
{
	if (node_look(agent))
		agent_dirty(agent, CHANGE_WAYS);
	tunnels_refresh(agent);
	state_each_peer(agent->state, refresh_peer, agent);
}

/* --- events of the kernel ------------------------------------------------------------------ */

static bool is_ours(const struct agent *agent, int ifindex)
{
	return uplink_mtu(agent, ifindex) || uplink_is_attached(agent, ifindex) ||
	       (uint32_t)ifindex == agent->facts.vxlan_ifindex;
}

static void look_for_gone(struct agent *agent, int ifindex)
{
	struct endpoint *endpoint = endpoint_of_ifindex(agent, ifindex);

	if (endpoint)
		gone_note(agent, endpoint);
}

static unsigned int link_concerns(const struct agent *agent, const struct net_link *link)
{
	if (is_ours(agent, link->ifindex) || settings_is_uplink(agent, link->name) ||
	    settings_is_mtu_link(agent, link->name))
		return CHANGE_WAYS;
	return 0;
}

/* Wherever it is: it may be the node's own from now on. */
static unsigned int addr_concerns(const struct agent *agent, const struct net_addr *addr)
{
	if (is_ours(agent, addr->ifindex))
		return CHANGE_WAYS;
	return addr->scope == RT_SCOPE_UNIVERSE && addr->ifindex < MG_IFINDEX_BASE ? CHANGE_NODES
										   : 0;
}

/* What comes with every pod (its interface, its routes) changes no way to a node. */
static unsigned int route_concerns(struct agent *agent, const struct net_route *route)
{
	if (route->protocol == NET_PROTOCOL || route->table == RT_TABLE_LOCAL ||
	    route->ifindex > MG_IFINDEX_BASE || endpoint_of_ifindex(agent, route->ifindex))
		return 0;
	return CHANGE_NODES | CHANGE_ROUTES;
}

static unsigned int hook_concerns(struct agent *agent, int ifindex)
{
	struct endpoint *endpoint;

	if (is_ours(agent, ifindex))
		return CHANGE_LINKS;
	endpoint = endpoint_of_ifindex(agent, ifindex);
	if (!endpoint)
		return 0;
	endpoint->look = true;
	return CHANGE_HOOKS;
}

static unsigned int event_concerns(struct agent *agent, const struct net_event *event)
{
	switch (event->kind) {
	case NET_EVENT_LINK:
		if (event->removed)
			look_for_gone(agent, event->link.ifindex);
		return link_concerns(agent, &event->link);
	case NET_EVENT_ADDR:
		return addr_concerns(agent, &event->addr);
	case NET_EVENT_ROUTE:
		return route_concerns(agent, &event->route);
	case NET_EVENT_QDISC:
	case NET_EVENT_FILTER:
		return hook_concerns(agent, event->qdisc.ifindex);
	case NET_EVENT_NEIGH:
		return 0;
	case NET_EVENT_RESYNC:
		break;
	}
	return CHANGE_ALL;
}

static void on_net_event(const struct net_event *event, void *context)
{
	unsigned int changes = event_concerns(context, event);

	if (changes)
		agent_dirty(context, changes);
}

static void on_netlink(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct err err;

	(void)fd;
	(void)what;
	if (net_monitor_read(agent->monitor, 256, &err) < 0)
		log_warning("netlink events", "why", err.text, NULL);
}

int node_start(struct agent *agent, struct err *err)
{
	int r = node_register(agent, err);

	if (!r)
		r = net_monitor_open(on_net_event, agent, &agent->monitor, err);
	if (r < 0)
		return r;
	agent->netlink_event = event_new(agent->base, net_monitor_fd(agent->monitor),
					 EV_READ | EV_PERSIST, on_netlink, agent);
	event_add(agent->netlink_event, NULL);
	return 0;
}

void node_stop(struct agent *agent)
{
	if (agent->netlink_event)
		event_free(agent->netlink_event);
	if (agent->node_event)
		event_free(agent->node_event);
	net_monitor_close(agent->monitor);
	own_address_stop(agent);
}
