/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments of this node. The plugin's records on disk are what a new agent begins from; the
 * kernel's rows are compared with them and not trusted.
 */
#include "agent/endpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/publish.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"

#define RECORD_MAX 65536

struct endpoint *endpoint_find(struct agent *agent, const char *container, const char *ifname)
{
	_cleanup_free_ char *key = xasprintf("%s:%s", container, ifname);
	struct endpoint *endpoint;

	HASH_FIND_STR(agent->endpoints, key, endpoint);
	return endpoint;
}

/* The slot after the last one given: a freed one rests as long as there are others. */
static uint16_t free_slot(const struct agent *agent)
{
	static unsigned int last;

	for (unsigned int i = 0; i < agent->slots; i++) {
		last = last + 1 < agent->slots ? last + 1 : 1;
		if (!agent->by_slot[last])
			return (uint16_t)last;
	}
	return 0;
}

static struct endpoint *endpoint_at(struct agent *agent, const char *container, const char *ifname,
				    uint16_t slot)
{
	struct endpoint *endpoint;

	if (!slot || slot >= agent->slots || agent->by_slot[slot])
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

struct endpoint *endpoint_new(struct agent *agent, const char *container, const char *ifname,
			      uint16_t slot)
{
	return endpoint_at(agent, container, ifname, slot);
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
	struct state_endpoint row = {
		.slot = endpoint->slot,
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
	agent_dirty(agent);
}

static void endpoint_free(struct endpoint *endpoint)
{
	if (endpoint->waiting)
		server_fail(endpoint->waiting, 11, "the attachment was removed meanwhile");
	json_decref(endpoint->labels);
	free(endpoint->key);
	free(endpoint->container);
	free(endpoint->ifname);
	free(endpoint->network);
	free(endpoint->ns);
	free(endpoint->pod);
	free(endpoint);
}

void endpoint_remove(struct agent *agent, struct endpoint *endpoint)
{
	publish_removed(agent, endpoint);
	state_endpoint_del(agent->state, endpoint->slot);
	agent->by_slot[endpoint->slot] = NULL;
	HASH_DEL(agent->endpoints, endpoint);
	endpoint_free(endpoint);
	agent_dirty(agent);
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

/* --- records of the plugin ------------------------------------------------------------------ */

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
	free(endpoint->network);
	endpoint->ns = xstrdup(*ns ? ns : "default");
	endpoint->pod = xstrdup(*pod ? pod : endpoint->container);
	endpoint->network = xstrdup(text_of(request, "network"));
}

static void restore_record(struct agent *agent, const json_t *record)
{
	const char *container = text_of(record, "container"), *ifname = text_of(record, "ifname");
	json_int_t slot = json_integer_value(json_object_get(record, "slot"));
	struct endpoint *endpoint;

	/* What is not ready is an ADD that did not end: it asks again, or is deleted. */
	if (!*container || !*ifname || !json_is_true(json_object_get(record, "ready")) ||
	    endpoint_find(agent, container, ifname))
		return;
	endpoint = endpoint_new(agent, container, ifname, slot > 0 ? (uint16_t)slot : 0);
	if (!endpoint)
		return;
	endpoint_name(endpoint, record);
	endpoint_fill(endpoint, record);
	endpoint_addresses(endpoint, json_object_get(record, "addresses"));
	endpoint->external = json_is_true(json_object_get(record, "external"));
	endpoint->committed = true;
	endpoint_changed(agent, endpoint);
}

/* Calls each for every record in a folder of the plugin; what cannot be read is named and left. */
static void each_record(struct agent *agent, const char *folder,
			void (*each)(struct agent *agent, const json_t *record, const char *path))
{
	_cleanup_free_ char *path = xasprintf("%s/cni/%s", agent->config.state_dir, folder);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *file = NULL, *text = NULL;
		_cleanup_json_ json_t *record = NULL;
		struct err err = { 0 };
		size_t size;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		file = xasprintf("%s/%s", path, entry->d_name);
		r = file_read(AT_FDCWD, file, RECORD_MAX, &text, &size);
		if (!r)
			r = rpc_decode(text, size, RECORD_MAX, &record, &err);
		if (r < 0)
			log_warning("record left alone", "file", file, "why",
				    err.code ? err.text : strerror(-r), NULL);
		else
			each(agent, record, file);
	}
	if (dir)
		closedir(dir);
}

static void restore_each(struct agent *agent, const json_t *record, const char *path)
{
	(void)path;
	restore_record(agent, record);
}

static void release_each(struct agent *agent, const json_t *record, const char *path)
{
	struct endpoint *endpoint =
		endpoint_find(agent, text_of(record, "container"), text_of(record, "ifname"));
	struct ipam_owner owner = { .network = text_of(record, "network"),
				    .container = text_of(record, "container"),
				    .ifname = text_of(record, "ifname") };

	if (!json_is_true(json_object_get(record, "external")))
		ipam_release(agent->ipam, &owner, NULL, NULL);
	if (endpoint)
		endpoint_remove(agent, endpoint);
	if (unlink(path) < 0 && errno != ENOENT)
		log_warning("release file", "file", path, "why", strerror(errno), NULL);
}

void endpoints_released(struct agent *agent)
{
	each_record(agent, "released", release_each);
}

int endpoints_start(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/cni/attachments", agent->config.state_dir);
	_cleanup_free_ char *released = xasprintf("%s/cni/released", agent->config.state_dir);
	int r;

	agent->by_slot = xcalloc(agent->slots, sizeof(*agent->by_slot));
	r = dir_make(path, 0700, err);
	if (!r)
		r = dir_make(released, 0700, err);
	if (r < 0)
		return r;
	each_record(agent, "attachments", restore_each);
	return 0;
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
