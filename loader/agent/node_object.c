/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's addresses and its Node object.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "agent/node.h"

#include "agent/default_pools.h"
#include "agent/node_condition.h"
#include "agent/node_object.h"
#include "agent/own_address.h"
#include "agent/tunnels.h"
#include "base/arena.h"
#include "base/hex.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/log.h"
#include "base/version.h"

#define PUBLISH_AGAIN_SECONDS 5

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

/* What it has of other kinds (Hostname, ExternalIP) stays. */
static json_t *foreign_addresses(const json_t *status)
{
	json_t *list = json_array(), *item;
	size_t i;

	json_array_foreach(json_object_get(status, "addresses"), i, item) {
		if (strcmp(json_text_or(item, "type", ""), "InternalIP") != 0)
			json_array_append(list, item);
	}
	return list;
}

static void fill_status(const struct agent *agent, json_t *object)
{
	json_t *status = member(object, "status");
	json_t *addresses = foreign_addresses(status);

	add_status_address(addresses, &agent->own4);
	add_status_address(addresses, &agent->own6);
	json_object_set_new(status, "addresses", addresses);
}

static void fill_node(const struct agent *agent, json_t *object)
{
	json_t *metadata = member(object, "metadata");
	json_t *annotations = member(metadata, "annotations");
	const uint8_t *mac = agent->vtep_mac;

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
	tunnels_annotate(agent, annotations);
	/* Labels and status of a cluster's node are its kubelet's. */
	if (store_is_cluster(agent->store))
		return;
	json_object_set_new(member(metadata, "labels"), "kubernetes.io/hostname",
			    json_string(agent->config.node));
	fill_status(agent, object);
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

/* The object with what this agent knows; 1: it stands so already. */
static int try_node(struct agent *agent, const struct store_key *key, struct err *err)
{
	_cleanup_json_ json_t *stored = NULL, *object = NULL;
	int r = store_get(agent->store, key, &stored, err);
	bool fresh = r == -ENOENT;

	if (r < 0 && !fresh)
		return r;
	object = fresh ? json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "Node",
				   "metadata", "name", agent->config.node)
		       : json_deep_copy(stored);
	fill_node(agent, object);
	if (!fresh && json_equal(stored, object))
		return 1;
	return fresh ? store_create(agent->store, object, NULL, err)
		     : store_update(agent->store, object, NULL, err);
}

struct store_key node_key(const struct agent *agent)
{
	return (struct store_key){ .kind = store_kind(KIND_NODE), .name = agent->config.node };
}

static int write_node(struct agent *agent, struct err *err)
{
	const struct store_key key = node_key(agent);
	int r = -ESTALE;

	for (unsigned int tries = 0; tries < 100 && (r == -ESTALE || r == -EEXIST); tries++)
		r = try_node(agent, &key, err);
	if (r == -EROFS) {
		log_info("the Node object comes from a manifest and is left alone", "node",
			 agent->config.node, NULL);
		return 0;
	}
	return r < 0 ? r : 0;
}

static void publish_in(struct agent *agent, int seconds)
{
	const struct timeval when = { .tv_sec = seconds };

	event_add(agent->node_event, &when);
}

static void on_publish(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct err err;

	(void)fd;
	(void)what;
	if (!write_node(agent, &err) && !node_condition_write(agent, &err))
		return;
	log_warning("the Node object is not up to date", "why", err.text, NULL);
	publish_in(agent, PUBLISH_AGAIN_SECONDS);
}

void node_changed(struct agent *agent)
{
	publish_in(agent, 0);
}

static void new_guid(char text[33])
{
	unsigned char bytes[16] = { 0 };

	(void)!getrandom(bytes, sizeof(bytes), 0);
	hex_format(bytes, sizeof(bytes), text);
}

/* What the first node of a cluster writes, and later ones complete: the cluster's lasting number
 * and the version that was started last, as calico/node does. */
static json_t *cluster_wanted(const json_t *stored)
{
	json_t *object = stored ? json_deep_copy(stored)
				: json_pack("{s:s,s:s,s:{s:s},s:{s:b,s:s}}", "apiVersion",
					    "projectcalico.org/v3", "kind", "ClusterInformation",
					    "metadata", "name", "default", "spec", "datastoreReady",
					    1, "clusterType", "margay");
	json_t *spec = json_object_get(object, "spec");
	char guid[33];

	if (!json_is_object(spec)) {
		spec = json_object();
		json_object_set_new(object, "spec", spec);
	}
	if (!*json_text_or(spec, "clusterGUID", "")) {
		new_guid(guid);
		json_object_set_new(spec, "clusterGUID", json_string(guid));
	}
	json_object_set_new(spec, "calicoVersion", json_string(margay_version));
	return object;
}

/* Another node may be faster, or a manifest has it: then it is as it should be. */
static int register_cluster(struct agent *agent, struct err *err)
{
	const struct store_key key = { .kind = store_kind(KIND_CLUSTER_INFO), .name = "default" };
	_cleanup_json_ json_t *stored = NULL, *wanted = NULL;
	int r = store_get(agent->store, &key, &stored, err);

	if (r < 0 && r != -ENOENT)
		return r;
	wanted = cluster_wanted(stored);
	if (stored)
		r = json_equal(stored, wanted) ? 0 : store_update(agent->store, wanted, NULL, err);
	else
		r = store_create(agent->store, wanted, NULL, err);
	return r == -EEXIST || r == -EROFS || r == -ESTALE ? 0 : r;
}

/* --- while running -------------------------------------------------------------------------- */

bool node_look(struct agent *agent)
{
	if (!own_address_look(agent))
		return false;
	node_changed(agent);
	return true;
}

int node_register(struct agent *agent, struct err *err)
{
	int r;

	make_vtep_mac(agent);
	agent->node_event = evtimer_new(agent->base, on_publish, agent);
	event_priority_set(agent->node_event, AGENT_PRIORITIES - 1);
	r = own_address_start(agent, err);
	if (!r)
		r = write_node(agent, err);
	if (!r)
		r = register_cluster(agent, err);
	return r < 0 ? r : default_pools_make(agent->store, err);
}
