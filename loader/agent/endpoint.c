/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/endpoint.h"

#include <string.h>

#include "agent/host_port.h"
#include "agent/hosts.h"
#include "agent/kernel_drops.h"
#include "agent/move.h"
#include "agent/publish.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/inet.h"
#include "model/pod.h"

struct endpoint *endpoint_find(struct agent *agent, const char *container, const char *ifname)
{
	_cleanup_free_ char *key = xasprintf("%s:%s", container, ifname);
	struct endpoint *endpoint;

	HASH_FIND_STR(agent->endpoints, key, endpoint);
	return endpoint;
}

#define SLOTS_LEAST 256 /* in turn, with few endpoints */

/* Slots that are given in turn: four for each endpoint. A slot that was ever used costs memory. */
static unsigned int slots_in_turn(const struct agent *agent)
{
	unsigned int count = SLOTS_LEAST;

	while (count < 4 * HASH_COUNT(agent->endpoints))
		count *= 2;
	return count < agent->slots ? count : agent->slots;
}

/* The free slot after the last one given, below the limit: a freed one rests as long as there are
 * others. 0: none. */
static uint16_t free_slot_below(const struct agent *agent, unsigned int limit)
{
	static unsigned int last;

	for (unsigned int i = 0; i < limit; i++) {
		last = last + 1 < limit ? last + 1 : 1;
		if (!agent->by_slot[last] && !hosts_have_slot(agent, (uint16_t)last))
			return (uint16_t)last;
	}
	return 0;
}

static uint16_t free_slot(const struct agent *agent)
{
	uint16_t slot = free_slot_below(agent, slots_in_turn(agent));

	/* Those below may be host endpoints', and endpoints of before a restart lie anywhere. */
	return slot ? slot : free_slot_below(agent, agent->slots);
}

struct endpoint *endpoint_new(struct agent *agent, const char *container, const char *ifname,
			      uint16_t slot)
{
	struct endpoint *endpoint;

	if (!slot || slot >= agent->slots || agent->by_slot[slot] || hosts_have_slot(agent, slot))
		slot = free_slot(agent);
	if (!slot)
		return NULL;
	endpoint = xcalloc(1, sizeof(*endpoint));
	endpoint->key = xasprintf("%s:%s", container, ifname);
	endpoint->container = xstrdup(container);
	endpoint->ifname = xstrdup(ifname);
	endpoint->slot = slot;
	agent->by_slot[slot] = endpoint;
	HASH_ADD_KEYPTR(hh, agent->endpoints, endpoint->key, strlen(endpoint->key), endpoint);
	return endpoint;
}

static size_t labels_of(const struct endpoint *endpoint, struct label **ret_labels)
{
	struct label *labels = xcalloc(json_object_size(endpoint->labels), sizeof(*labels));
	size_t count = 0;
	json_t *value;
	const char *key;

	json_object_foreach(endpoint->labels, key, value) {
		if (json_is_string(value))
			labels[count++] =
				(struct label){ .key = key, .value = json_string_value(value) };
	}
	*ret_labels = labels;
	return count;
}

void endpoint_changed(struct agent *agent, struct endpoint *endpoint)
{
	_cleanup_free_ struct label *labels = NULL;
	const uint32_t no_peer = endpoint->has_queue || agent->no_peer ? MG_EP_NO_PEER : 0;
	struct state_endpoint row = {
		.slot = endpoint->slot,
		.flags = endpoint->limits | no_peer | (endpoint->twice ? MG_EP_TWICE : 0),
		.ifindex = endpoint->ifindex,
		.mtu = endpoint->mtu,
		.netns_cookie = endpoint->netns_cookie,
		.ns = endpoint->ns,
		.pod = endpoint->pod,
		.ip4 = endpoint->ip4,
		.ip6 = endpoint->ip6,
	};

	memcpy(row.mac, endpoint->mac, sizeof(row.mac));
	memcpy(row.host_mac, endpoint->host_mac, sizeof(row.host_mac));
	row.labels.count = labels_of(endpoint, &labels);
	row.labels.v = labels;
	labels_sort(&row.labels);
	endpoint->ready = false;
	state_endpoint_set(agent->state, &row);
	host_ports_tell(agent, endpoint);
	kernel_drops_watch(agent, endpoint);
	agent_dirty(agent, CHANGE_ENDPOINTS);
}

static void endpoint_free(struct endpoint *endpoint)
{
	if (endpoint->waiting)
		server_fail(endpoint->waiting, 11, "the attachment was removed meanwhile");
	json_decref(endpoint->labels);
	free(endpoint->ports);
	free(endpoint->key);
	free(endpoint->container);
	free(endpoint->ifname);
	free(endpoint->network);
	free(endpoint->ns);
	free(endpoint->pod);
	free(endpoint->uid);
	free(endpoint);
}

/* The next sandbox of a pod may be there before the former one has gone: the object is its. */
static bool has_successor(const struct agent *agent, const struct endpoint *endpoint)
{
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (ep != endpoint && ep->committed && !strcmp(ep->pod, endpoint->pod) &&
		    !strcmp(ep->ns, endpoint->ns) && !strcmp(ep->ifname, endpoint->ifname))
			return true;
	}
	return false;
}

void endpoint_remove(struct agent *agent, struct endpoint *endpoint)
{
	if (endpoint->committed && !has_successor(agent, endpoint))
		publish_removed(agent, endpoint);
	state_endpoint_del(agent->state, endpoint->slot);
	host_ports_forget(agent, endpoint);
	kernel_drops_forget(agent, endpoint);
	agent->by_slot[endpoint->slot] = NULL;
	HASH_DEL(agent->endpoints, endpoint);
	endpoint_free(endpoint);
	agent_dirty(agent, CHANGE_ENDPOINTS);
}

/* Labels of the former Pod of that name, or of none, must not decide. */
static bool pod_is_current(const struct agent *agent, const struct endpoint *endpoint)
{
	const struct object *known = state_pod(agent->state, endpoint->ns, endpoint->pod);

	return known ? pod_is_named(known, endpoint->uid) : !endpoint->has_object;
}

void endpoint_commit(struct agent *agent, struct endpoint *endpoint)
{
	if (!pod_is_current(agent, endpoint))
		return;
	endpoint->committed = true;
	endpoint_changed(agent, endpoint);
	/* How it is attached is looked at when there is time. */
	move_want(agent, endpoint);
}

void endpoints_commit(struct agent *agent)
{
	for (struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (ep->waiting && (!ep->committed || ep->ready))
			endpoint_commit(agent, ep);
	}
}

static json_t *commit_answer(void)
{
	return json_pack("{s:b}", "ok", 1);
}

void endpoints_settled(struct agent *agent)
{
	struct endpoint *endpoint, *next;

	HASH_ITER(hh, agent->endpoints, endpoint, next) {
		if (!endpoint->committed || endpoint->ready)
			continue;
		endpoint->ready = true;
		if (!endpoint->waiting)
			continue;
		server_answer(endpoint->waiting, commit_answer());
		endpoint->waiting = NULL;
		publish_endpoint(agent, endpoint);
	}
}

/* --- requests and records ------------------------------------------------------------------ */

static const char *text_of(const json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : "";
}

static void mac_of(const json_t *record, const char *key, uint8_t mac[6])
{
	unsigned int part[6];

	if (sscanf(text_of(record, key), "%2x:%2x:%2x:%2x:%2x:%2x", &part[0], &part[1], &part[2],
		   &part[3], &part[4], &part[5]) != 6)
		return;
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)part[i];
}

void endpoint_addresses(struct endpoint *endpoint, const json_t *list)
{
	struct mg_prefix prefix;
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value) {
		const char *text = json_string_value(value);

		if (!text || prefix_parse(text, true, &prefix) < 0)
			continue;
		if (prefix_is4(&prefix))
			endpoint->ip4 = prefix.addr;
		else
			endpoint->ip6 = prefix.addr;
	}
}

void endpoint_fill(struct endpoint *endpoint, const json_t *record)
{
	const char *host = text_of(record, "host_ifname");
	uint8_t none[6] = { 0 };

	endpoint->ifindex = (uint32_t)json_integer_value(json_object_get(record, "ifindex"));
	endpoint->mtu = (uint32_t)json_integer_value(json_object_get(record, "mtu"));
	endpoint->netns_cookie =
		(uint64_t)json_integer_value(json_object_get(record, "netns_cookie"));
	snprintf(endpoint->host_ifname, sizeof(endpoint->host_ifname), "%s", host);
	mac_of(record, "mac", endpoint->mac);
	mac_of(record, "host_mac", endpoint->host_mac);
	if (!memcmp(endpoint->host_mac, none, sizeof(none)))
		memset(endpoint->host_mac, 0xee, sizeof(endpoint->host_mac));
}

void endpoint_name(struct endpoint *endpoint, const json_t *request)
{
	const char *ns = text_of(request, "namespace"), *pod = text_of(request, "pod");

	free(endpoint->ns);
	free(endpoint->pod);
	free(endpoint->uid);
	free(endpoint->network);
	endpoint->ns = xstrdup(*ns ? ns : "default");
	endpoint->pod = xstrdup(*pod ? pod : endpoint->container);
	endpoint->uid = xstrdup(text_of(request, "uid"));
	endpoint->network = xstrdup(text_of(request, "network"));
}

/* Bits a second of a direction, 0: not limited. */
static json_int_t rate_of(const json_t *bandwidth, const char *key)
{
	return json_integer_value(json_object_get(bandwidth, key));
}

void endpoint_wishes(struct endpoint *endpoint, const json_t *request)
{
	const json_t *bandwidth = json_object_get(request, "bandwidth");
	const json_t *labels = json_object_get(request, "labels");

	json_decref(endpoint->labels);
	host_ports_take(endpoint, request);
	endpoint->labels = json_is_object(labels) ? json_deep_copy(labels) : NULL;
	endpoint->limits = (rate_of(bandwidth, "ingressRate") > 0 ? MG_EP_NO_PEER : 0) |
			   (rate_of(bandwidth, "egressRate") > 0 ? MG_EP_THROUGH_STACK : 0);
}

/* --- life ---------------------------------------------------------------------------------- */

struct endpoint *endpoint_of_ifindex(struct agent *agent, int ifindex)
{
	struct endpoint *endpoint = NULL;

	if (ifindex > MG_IFINDEX_BASE && (unsigned int)ifindex < MG_IFINDEX_BASE + agent->slots)
		endpoint = agent->by_slot[ifindex - MG_IFINDEX_BASE];
	if (endpoint && endpoint->ifindex == (uint32_t)ifindex)
		return endpoint;
	for (endpoint = agent->endpoints; endpoint; endpoint = endpoint->hh.next) {
		if (endpoint->committed && endpoint->ifindex == (uint32_t)ifindex)
			return endpoint;
	}
	return NULL;
}

void endpoints_start(struct agent *agent)
{
	agent->by_slot = xcalloc(agent->slots, sizeof(*agent->by_slot));
}

void endpoints_stop(struct agent *agent)
{
	struct endpoint *endpoint, *next;

	HASH_ITER(hh, agent->endpoints, endpoint, next) {
		HASH_DEL(agent->endpoints, endpoint);
		endpoint_free(endpoint);
	}
	free(agent->by_slot);
}
