/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/auto_host.h"

#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/hex.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/sha.h"
#include "model/controllers.h"
#include "model/host.h"
#include "model/selector.h"

#define SUFFIX "auto-hep"
#define NAME_LONGEST 253

/* One of ours, as the store has it. */
struct auto_endpoint {
	char *name;
	json_t *object;
	struct auto_node *node;
	struct auto_endpoint *prev, *next; /* of the node */
	UT_hash_handle hh;
};

struct auto_node {
	char *name;
	json_t *labels; /* NULL: there is no such Node, but endpoints of it */
	json_t *ips;
	struct auto_endpoint *endpoints;
	bool waits;
	struct auto_node *prev, *next; /* of those that wait */
	UT_hash_handle hh;
};

struct auto_host {
	struct object *config;
	struct auto_node *nodes;
	struct auto_endpoint *endpoints;
	struct auto_node *waiting;
};

/* --- who waits ------------------------------------------------------------------------------ */

static void wait_for_turn(struct auto_host *hosts, struct auto_node *node)
{
	if (node->waits)
		return;
	node->waits = true;
	DL_APPEND(hosts->waiting, node);
}

static struct auto_node *node_get(struct auto_host *hosts, const char *name)
{
	struct auto_node *node;

	HASH_FIND_STR(hosts->nodes, name, node);
	if (node)
		return node;
	node = xcalloc(1, sizeof(*node));
	node->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, hosts->nodes, node->name, strlen(node->name), node);
	return node;
}

static void node_free(struct auto_host *hosts, struct auto_node *node)
{
	if (node->waits)
		DL_DELETE(hosts->waiting, node);
	HASH_DEL(hosts->nodes, node);
	json_decref(node->labels);
	json_decref(node->ips);
	free(node->name);
	free(node);
}

/* --- nodes ---------------------------------------------------------------------------------- */

static void add_ip(json_t *ips, const char *text)
{
	char address[ADDR_TEXT_MAX];
	struct mg_prefix prefix;
	union mg_addr addr;
	const json_t *one;
	size_t i;

	if (!text || prefix_parse(text, true, &prefix) < 0)
		return;
	addr = prefix.addr;
	addr_format(&addr, address);
	json_array_foreach(ips, i, one) {
		if (!strcmp(json_string_value(one), address))
			return;
	}
	json_array_append_new(ips, json_string(address));
}

/* Calico's order. */
static json_t *ips_of(const json_t *node)
{
	static const char *const annotations[] = {
		"projectcalico.org/IPv4Address",	 "projectcalico.org/IPv6Address",
		"projectcalico.org/IPv4IPIPTunnelAddr",	 "projectcalico.org/IPv6IPIPTunnelAddr",
		"projectcalico.org/IPv4VXLANTunnelAddr", "projectcalico.org/IPv6VXLANTunnelAddr",
	};
	const json_t *said = json_at(node, "metadata.annotations"), *address;
	json_t *ips = json_array();
	size_t i;

	for (i = 0; i < sizeof(annotations) / sizeof(annotations[0]); i++)
		add_ip(ips, json_string_value(json_object_get(said, annotations[i])));
	json_array_foreach(json_at(node, "status.addresses"), i, address) {
		if (!strcmp(json_text_or(address, "type", ""), "InternalIP"))
			add_ip(ips, json_text_or(address, "address", NULL));
	}
	return ips;
}

static json_t *labels_of(const json_t *object)
{
	const json_t *labels = json_at(object, "metadata.labels");

	return json_is_object(labels) ? json_deep_copy(labels) : json_object();
}

/* A kubelet writes its Node every few minutes: what does not change anything here is no news. */
static void node_set(struct auto_host *hosts, const json_t *object)
{
	struct auto_node *node = node_get(hosts, json_text_at(object, "metadata.name"));
	json_t *labels = labels_of(object), *ips = ips_of(object);

	if (!node->labels || !json_equal(node->labels, labels) || !json_equal(node->ips, ips))
		wait_for_turn(hosts, node);
	json_decref(node->labels);
	json_decref(node->ips);
	node->labels = labels;
	node->ips = ips;
}

static void node_del(struct auto_host *hosts, const char *name)
{
	struct auto_node *node;

	HASH_FIND_STR(hosts->nodes, name, node);
	if (!node)
		return;
	json_decref(node->labels);
	json_decref(node->ips);
	node->labels = node->ips = NULL;
	if (node->endpoints)
		wait_for_turn(hosts, node);
	else
		node_free(hosts, node);
}

/* --- endpoints ------------------------------------------------------------------------------ */

static void endpoint_del(struct auto_host *hosts, const char *name)
{
	struct auto_endpoint *endpoint;
	struct auto_node *node;

	HASH_FIND_STR(hosts->endpoints, name, endpoint);
	if (!endpoint)
		return;
	node = endpoint->node;
	DL_DELETE(node->endpoints, endpoint);
	HASH_DEL(hosts->endpoints, endpoint);
	json_decref(endpoint->object);
	free(endpoint->name);
	free(endpoint);
	if (node->labels)
		wait_for_turn(hosts, node);
	else if (!node->endpoints)
		node_free(hosts, node);
}

static bool is_ours(const json_t *object)
{
	const json_t *labels = json_at(object, "metadata.labels");
	const char *maker = json_string_value(json_object_get(labels, AUTO_HOST_LABEL));

	return maker && !strcmp(maker, AUTO_HOST_MAKER);
}

static void endpoint_set(struct auto_host *hosts, const json_t *object)
{
	const char *name = json_text_at(object, "metadata.name");
	struct auto_endpoint *endpoint;

	endpoint_del(hosts, name);
	if (!is_ours(object))
		return;
	endpoint = xcalloc(1, sizeof(*endpoint));
	endpoint->name = xstrdup(name);
	endpoint->object = json_deep_copy(object);
	endpoint->node = node_get(hosts, json_text_or(object, "spec.node", ""));
	DL_APPEND(endpoint->node->endpoints, endpoint);
	HASH_ADD_KEYPTR(hh, hosts->endpoints, endpoint->name, strlen(endpoint->name), endpoint);
	wait_for_turn(hosts, endpoint->node);
}

/* --- what they should be -------------------------------------------------------------------- */

/* Names of objects have 253 characters; longer ones become a digest. */
static char *name_of(const struct auto_node *node, const struct host_template *template)
{
	char *name = template ? xasprintf("%s-%s-%s", node->name, template->name, SUFFIX)
			      : xasprintf("%s-%s", node->name, SUFFIX);
	uint8_t digest[SHA256_SIZE];
	char text[HEX_TEXT_SIZE(SHA256_SIZE)];

	if (strlen(name) <= NAME_LONGEST)
		return name;
	sha256(name, strlen(name), digest);
	free(name);
	return xasprintf("%s-%s", hex_format(digest, sizeof(digest), text), SUFFIX);
}

static json_t *object_of(const struct auto_node *node, const struct host_template *template,
			 json_t *ips)
{
	_cleanup_free_ char *name = name_of(node, template);
	json_t *labels = json_deep_copy(node->labels);
	json_t *spec = json_pack("{s:s,s:o,s:[s]}", "node", node->name, "expectedIPs", ips,
				 "profiles", PROFILE_DEFAULT_ALLOW);

	for (size_t i = 0; template && i < template->labels.count; i++)
		json_object_set_new(labels, template->labels.v[i].key,
				    json_string(template->labels.v[i].value));
	json_object_set_new(labels, AUTO_HOST_LABEL, json_string(AUTO_HOST_MAKER));
	if (!template)
		json_object_set_new(spec, "interfaceName", json_string("*"));
	return json_pack("{s:s,s:s,s:{s:s,s:o},s:o}", "apiVersion", "projectcalico.org/v3", "kind",
			 "HostEndpoint", "metadata", "name", name, "labels", labels, "spec", spec);
}

static bool is_within(const struct host_template *template, const char *text)
{
	union mg_addr addr;

	if (addr_parse(text, &addr) < 0)
		return false;
	for (size_t i = 0; i < template->net_count; i++) {
		if (prefix_contains(&template->nets[i], &addr))
			return true;
	}
	return false;
}

static json_t *ips_within(const struct auto_node *node, const struct host_template *template)
{
	json_t *ips = json_array(), *one;
	size_t i;

	json_array_foreach(node->ips, i, one) {
		if (is_within(template, json_string_value(one)))
			json_array_append(ips, one);
	}
	return ips;
}

static bool is_selected(const struct auto_node *node, const struct host_template *template)
{
	const size_t count = json_object_size(node->labels);
	struct label *items = xcalloc(count + 1, sizeof(*items));
	struct labels labels = { .v = items };
	const char *key;
	json_t *value;
	bool selected;

	json_object_foreach(node->labels, key, value) {
		if (json_is_string(value))
			items[labels.count++] = (struct label){ key, json_string_value(value) };
	}
	labels_sort(&labels);
	selected = !template->nodes || labels_match(&labels, template->nodes);
	free(items);
	return selected;
}

/* Without an interface's name an endpoint has to have an address. */
static void want_template(const struct auto_node *node, const struct host_template *template,
			  json_t *wanted)
{
	json_t *ips;

	if (*template->pattern || !is_selected(node, template))
		return;
	ips = ips_within(node, template);
	if (json_array_size(ips))
		json_array_append_new(wanted, object_of(node, template, ips));
	else
		json_decref(ips);
}

static json_t *wanted_of(const struct auto_host *hosts, const struct auto_node *node)
{
	const struct kube_controllers *config = kube_controllers_of(hosts->config);
	json_t *wanted = json_array();

	if (!config || !config->auto_create || !node->labels)
		return wanted;
	if (config->default_endpoint)
		json_array_append_new(wanted, object_of(node, NULL, json_deep_copy(node->ips)));
	for (size_t i = 0; i < config->template_count; i++)
		want_template(node, &config->templates[i], wanted);
	return wanted;
}

/* --- writes --------------------------------------------------------------------------------- */

struct emission {
	auto_host_emit_fn *emit;
	void *arg;
};

/* Empty and absent are the same to the store. */
static bool says_the_same(const json_t *stored, const json_t *wanted)
{
	json_t *want = json_object_get(wanted, "spec");
	const json_t *have = json_object_get(stored, "spec");
	bool same;

	if (!json_equal(json_at(stored, "metadata.labels"), json_at(wanted, "metadata.labels")))
		return false;
	if (json_array_size(json_object_get(want, "expectedIPs")))
		return json_equal(have, want);
	want = json_copy(want);
	json_object_del(want, "expectedIPs");
	same = json_equal(have, want);
	json_decref(want);
	return same || json_equal(have, json_object_get(wanted, "spec"));
}

static void write_one(const struct auto_host *hosts, json_t *wanted, const struct emission *out)
{
	const char *name = json_text_at(wanted, "metadata.name");
	const struct auto_endpoint *stored;

	HASH_FIND_STR(hosts->endpoints, name, stored);
	if (!stored) {
		out->emit(out->arg, AUTO_HOST_CREATE, wanted);
		return;
	}
	if (says_the_same(stored->object, wanted))
		return;
	json_object_set_new(
		json_object_get(wanted, "metadata"), "resourceVersion",
		json_string(json_text_or(stored->object, "metadata.resourceVersion", "")));
	out->emit(out->arg, AUTO_HOST_UPDATE, wanted);
}

static bool is_wanted(const json_t *wanted, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)wanted, i, one) {
		if (!strcmp(json_text_at(one, "metadata.name"), name))
			return true;
	}
	return false;
}

static void delete_others(const struct auto_node *node, const json_t *wanted,
			  const struct emission *out)
{
	const struct auto_endpoint *endpoint;

	DL_FOREACH(node->endpoints, endpoint) {
		const json_t *metadata = json_object_get(endpoint->object, "metadata");
		json_t *object;

		if (is_wanted(wanted, endpoint->name))
			continue;
		object = json_pack("{s:s,s:s,s:{s:s,s:O}}", "apiVersion", "projectcalico.org/v3",
				   "kind", "HostEndpoint", "metadata", "name", endpoint->name,
				   "resourceVersion", json_object_get(metadata, "resourceVersion"));
		out->emit(out->arg, AUTO_HOST_DELETE, object);
		json_decref(object);
	}
}

bool auto_host_next(struct auto_host *hosts, auto_host_emit_fn *emit, void *arg,
		    const char **ret_node)
{
	const struct emission out = { emit, arg };
	struct auto_node *node = hosts->waiting;
	_cleanup_json_ json_t *wanted = NULL;
	json_t *one;
	size_t i;

	if (!node)
		return false;
	DL_DELETE(hosts->waiting, node);
	node->waits = false;
	wanted = wanted_of(hosts, node);
	delete_others(node, wanted, &out);
	json_array_foreach(wanted, i, one)
		write_one(hosts, one, &out);
	*ret_node = node->name;
	return true;
}

/* --- what the owner calls ------------------------------------------------------------------- */

void auto_host_again(struct auto_host *hosts, const char *name)
{
	struct auto_node *node;

	HASH_FIND_STR(hosts->nodes, name, node);
	if (node)
		wait_for_turn(hosts, node);
}

void auto_host_config(struct auto_host *hosts, const struct object *config)
{
	object_unref(hosts->config);
	hosts->config = config ? object_ref(config) : NULL;
	for (struct auto_node *node = hosts->nodes; node; node = node->hh.next)
		wait_for_turn(hosts, node);
}

void auto_host_set(struct auto_host *hosts, enum kind kind, const json_t *object)
{
	if (kind == KIND_NODE)
		node_set(hosts, object);
	else if (kind == KIND_HOST_ENDPOINT)
		endpoint_set(hosts, object);
}

void auto_host_del(struct auto_host *hosts, enum kind kind, const char *name)
{
	if (kind == KIND_NODE)
		node_del(hosts, name);
	else if (kind == KIND_HOST_ENDPOINT)
		endpoint_del(hosts, name);
}

struct auto_host *auto_host_new(void)
{
	return xcalloc(1, sizeof(struct auto_host));
}

void auto_host_free(struct auto_host *hosts)
{
	struct auto_node *node, *next;

	if (!hosts)
		return;
	while (hosts->endpoints)
		endpoint_del(hosts, hosts->endpoints->name);
	HASH_ITER(hh, hosts->nodes, node, next)
		node_free(hosts, node);
	object_unref(hosts->config);
	free(hosts);
}
