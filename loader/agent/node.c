/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node: its addresses, its Node object, and the ways to the other nodes.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "agent/node.h"

#include "agent/endpoint.h"
#include "agent/settings.h"
#include "agent/uplink.h"
#include "base/inet.h"
#include "base/log.h"
#include "dataplane/uplink.h"

static int find_first(struct agent *agent, bool v6, struct err *err)
{
	struct net_addr found;
	int r = uplink_first_address(agent->net, v6, &found, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*(v6 ? &agent->own6 : &agent->own4) = found.addr;
	*(v6 ? &agent->own6_bits : &agent->own4_bits) = found.bits;
	return 0;
}

static int given(const char *text, bool v4, union mg_addr *addr, unsigned int *bits,
		 struct err *err)
{
	struct mg_prefix prefix;

	if (!strcmp(text, "none") || !strcmp(text, "first-found") || !strcmp(text, "autodetect"))
		return 0;
	if (prefix_parse(text, true, &prefix) < 0 || prefix_is4(&prefix) != v4)
		return err_set(err, -EINVAL, "%s: \"%s\" is not an IPv%d address with its length",
			       v4 ? "ipv4" : "ipv6", text, v4 ? 4 : 6);
	*addr = prefix.addr;
	*bits = prefix_bits(&prefix);
	return 0;
}

static bool wants_first(const char *text)
{
	return !strcmp(text, "first-found") || !strcmp(text, "autodetect");
}

static int find_addresses(struct agent *agent, struct err *err)
{
	const struct agent_config *config = &agent->config;
	int r;

	r = given(config->ip4, true, &agent->own4, &agent->own4_bits, err);
	if (!r)
		r = given(config->ip6, false, &agent->own6, &agent->own6_bits, err);
	if (!r && wants_first(config->ip4))
		r = find_first(agent, false, err);
	if (!r && wants_first(config->ip6))
		r = find_first(agent, true, err);
	if (r < 0)
		return r;
	if (addr_is_zero(&agent->own4) && addr_is_zero(&agent->own6))
		return err_set(err, -EADDRNOTAVAIL,
			       "no address found: name one with --ipv4 or --ipv6");
	return 0;
}

/* --- the Node object ----------------------------------------------------------------------- */

static char *own_text(const union mg_addr *addr, unsigned int bits)
{
	char text[ADDR_TEXT_MAX];

	return addr_is_zero(addr) ? NULL : xasprintf("%s/%u", addr_format(addr, text), bits);
}

static void annotate(json_t *annotations, const char *key, char *value)
{
	if (value)
		json_object_set_new(annotations, key, json_string(value));
	else
		json_object_del(annotations, key);
	free(value);
}

static json_t *member(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_object(value)) {
		value = json_object();
		json_object_set_new(object, key, value);
	}
	return value;
}

static void add_status_address(json_t *list, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_zero(addr))
		json_array_append_new(list, json_pack("{s:s,s:s}", "type", "InternalIP", "address",
						      addr_format(addr, text)));
}

static void fill_node(const struct agent *agent, json_t *object)
{
	json_t *metadata = member(object, "metadata"), *status = member(object, "status");
	json_t *annotations = member(metadata, "annotations"), *addresses = json_array();
	const uint8_t *mac = agent->vtep_mac;

	json_object_set_new(member(metadata, "labels"), "kubernetes.io/hostname",
			    json_string(agent->config.node));
	annotate(annotations, "projectcalico.org/IPv4Address",
		 own_text(&agent->own4, agent->own4_bits));
	annotate(annotations, "projectcalico.org/IPv6Address",
		 own_text(&agent->own6, agent->own6_bits));
	annotate(annotations, "projectcalico.org/VXLANTunnelMACAddr",
		 xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			   mac[5]));
	annotate(annotations, "projectcalico.org/VXLANTunnelMACAddrV6",
		 xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
			   mac[5]));
	add_status_address(addresses, &agent->own4);
	add_status_address(addresses, &agent->own6);
	json_object_set_new(status, "addresses", addresses);
}

/* Locally administered, the same after each restart. FNV-1a of the name. */
static void make_vtep_mac(struct agent *agent)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (const char *p = agent->config.node; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 0x100000001b3;
	for (unsigned int i = 0; i < 6; i++)
		agent->vtep_mac[i] = (uint8_t)(hash >> (8 * i));
	agent->vtep_mac[0] = (uint8_t)((agent->vtep_mac[0] & 0xfc) | 0x02);
}

static int register_node(struct agent *agent, struct err *err)
{
	const struct store_key key = { .kind = store_kind_find("v1", "Node"),
				       .name = agent->config.node };
	json_t *object = NULL;
	int r;

	for (unsigned int tries = 0; tries < 100; tries++) {
		json_t *stored = NULL;
		bool fresh;

		r = store_get(agent->store, &key, &stored, err);
		if (r < 0 && r != -ENOENT)
			return r;
		fresh = r == -ENOENT;
		object = fresh ? json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "Node",
					   "metadata", "name", agent->config.node)
			       : json_deep_copy(stored);
		json_decref(stored);
		fill_node(agent, object);
		r = fresh ? store_create(agent->store, object, NULL, err)
			  : store_update(agent->store, object, NULL, err);
		json_decref(object);
		if (r != -ESTALE && r != -EEXIST)
			break;
	}
	if (r == -EROFS) {
		log_info("the Node object comes from a manifest and is left alone", "node",
			 agent->config.node, NULL);
		return 0;
	}
	return r;
}

static int register_cluster(struct agent *agent, struct err *err)
{
	json_t *object =
		json_pack("{s:s,s:s,s:{s:s},s:{s:b,s:s}}", "apiVersion", "projectcalico.org/v3",
			  "kind", "ClusterInformation", "metadata", "name", "default", "spec",
			  "datastoreReady", 1, "clusterType", "margay");
	int r = store_create(agent->store, object, NULL, err);

	json_decref(object);
	return r == -EEXIST || r == -EROFS ? 0 : r;
}

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

void node_refresh_ways(struct agent *agent)
{
	state_each_peer(agent->state, refresh_peer, agent);
}

/* --- events of the kernel ------------------------------------------------------------------ */

#define CHANGE_WAYS (CHANGE_LINKS | CHANGE_NODES | CHANGE_ROUTES)

static bool is_ours(const struct agent *agent, int ifindex)
{
	return uplink_mtu(agent, ifindex) || uplink_is_attached(agent, ifindex) ||
	       (uint32_t)ifindex == agent->facts.vxlan_ifindex;
}

static unsigned int link_concerns(const struct agent *agent, const struct net_link *link)
{
	if (is_ours(agent, link->ifindex) || settings_is_uplink(agent, link->name) ||
	    settings_is_mtu_link(agent, link->name))
		return CHANGE_WAYS;
	return 0;
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
	if (is_ours(agent, ifindex))
		return CHANGE_LINKS;
	return endpoint_of_ifindex(agent, ifindex) ? CHANGE_PODS : 0;
}

static unsigned int event_concerns(struct agent *agent, const struct net_event *event)
{
	switch (event->kind) {
	case NET_EVENT_LINK:
		return link_concerns(agent, &event->link);
	case NET_EVENT_ADDR:
		return is_ours(agent, event->addr.ifindex) ? CHANGE_WAYS : 0;
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
	int r;

	make_vtep_mac(agent);
	r = find_addresses(agent, err);
	if (!r)
		r = register_node(agent, err);
	if (!r)
		r = register_cluster(agent, err);
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
	net_monitor_close(agent->monitor);
}
