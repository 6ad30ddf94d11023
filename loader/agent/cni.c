/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin's requests, docs/cni-socket.md. A request may come twice; twice the same answer.
 */
#include "agent/cni.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "agent/addresses.h"
#include "agent/aside.h"
#include "agent/endpoint.h"
#include "agent/host_port.h"
#include "agent/node.h"
#include "agent/objects.h"
#include "agent/quiet.h"
#include "agent/record.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "model/pod.h"

#define PROTOCOL_VERSION 1

static const char *text_of(const json_t *request, const char *key)
{
	const char *text = json_string_value(json_object_get(request, key));

	return text ? text : "";
}

static struct ipam_owner owner_of(const struct endpoint *endpoint)
{
	return (struct ipam_owner){ .network = *endpoint->network ? endpoint->network : NULL,
				    .container = endpoint->container,
				    .ifname = endpoint->ifname,
				    .namespace_name = endpoint->ns,
				    .pod = endpoint->pod };
}

/* --- allocate ------------------------------------------------------------------------------ */

static void add_address(json_t *list, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_zero(addr))
		json_array_append_new(list, json_string(addr_format(addr, text)));
}

static bool has_address(const struct endpoint *endpoint)
{
	return !addr_is_zero(&endpoint->ip4) || !addr_is_zero(&endpoint->ip6);
}

static json_t *allocation(const struct agent *agent, const struct endpoint *endpoint,
			  const struct object *pod)
{
	const char *mac =
		pod ? labels_get(&pod->annotations, "cni.projectcalico.org/hwAddr") : NULL;
	json_t *addresses = json_array(), *answer;

	add_address(addresses, &endpoint->ip4);
	add_address(addresses, &endpoint->ip6);
	answer = json_pack("{s:b,s:o,s:i,s:i,s:i,s:s}", "ok", 1, "addresses", addresses, "slot",
			   endpoint->slot, "ifindex", MG_IFINDEX_BASE + endpoint->slot, "mtu",
			   (int)state_pod_mtu(agent->state, agent->facts.uplink_mtu), "attach",
			   agent->attach->name);
	if (mac)
		json_object_set_new(answer, "mac", json_string(mac));
	return answer;
}

/* A request that waits for addresses; the endpoint may be removed meanwhile. */
struct allocate {
	struct agent *agent;
	struct server_call *call;
	char *container;
	char *ifname;
	struct object *pod; /* NULL: not known */
};

/* One that stands already was asked for again: it keeps what it has. */
static void forget_unfinished(struct agent *agent, struct endpoint *endpoint)
{
	if (!endpoint->committed && !has_address(endpoint))
		endpoint_remove(agent, endpoint);
}

static void on_addresses(void *context, const struct ipam_result *result)
{
	struct allocate *allocate = context;
	struct endpoint *endpoint =
		endpoint_find(allocate->agent, allocate->container, allocate->ifname);

	if (result->status < 0) {
		if (endpoint)
			forget_unfinished(allocate->agent, endpoint);
		server_fail(allocate->call, addresses_code(result->status), "%s", result->err.text);
	} else if (!endpoint) {
		server_fail(allocate->call, CNI_TRY_AGAIN, "deleted while it was added");
	} else {
		for (size_t i = 0; i < result->count; i++) {
			const union mg_addr *addr = &result->addrs[i].addr;

			*(addr_is4(addr) ? &endpoint->ip4 : &endpoint->ip6) = *addr;
		}
		server_answer(allocate->call, allocation(allocate->agent, endpoint, allocate->pod));
	}
	free(allocate->container);
	free(allocate->ifname);
	object_unref(allocate->pod);
	free(allocate);
}

/* Takes over the pod's reference. */
static void ask_ipam(struct agent *agent, struct server_call *call, const json_t *request,
		     const struct endpoint *endpoint, struct object *pod)
{
	const struct addresses_wish wish = { request, owner_of(endpoint), pod };
	struct allocate *allocate = xcalloc(1, sizeof(*allocate));

	allocate->agent = agent;
	allocate->call = call;
	allocate->container = xstrdup(endpoint->container);
	allocate->ifname = xstrdup(endpoint->ifname);
	allocate->pod = pod;
	addresses_ask(agent, &wish, on_addresses, allocate);
}

/* Without a Pod name it is the container's id, of which there is no object. */
static int find_pod(struct agent *agent, struct endpoint *endpoint, struct object **ret_pod)
{
	int r;

	if (!strcmp(endpoint->pod, endpoint->container))
		return 0;
	r = objects_pod(agent, endpoint->ns, endpoint->pod, endpoint->uid, ret_pod);
	endpoint->has_object =
		!r && *ret_pod && !strcmp(pod_of(*ret_pod)->node, agent->config.node);
	return r;
}

/* True: the call is answered. */
static bool refuse_ports(struct agent *agent, struct server_call *call, struct endpoint *endpoint)
{
	struct err err;
	int r = host_ports_check(agent, endpoint, &err);

	if (r < 0)
		server_fail(call, r == -EADDRINUSE ? CNI_NAME_TAKEN : CNI_INVALID_CONFIG, "%s",
			    err.text);
	return r < 0;
}

static void op_allocate(struct agent *agent, struct server_call *call, const json_t *request)
{
	const char *container = text_of(request, "container"), *ifname = text_of(request, "ifname");
	struct endpoint *endpoint = endpoint_find(agent, container, ifname);
	const json_t *addresses = json_object_get(request, "addresses");
	_cleanup_object_ struct object *pod = NULL;

	if (!agent->synced) {
		server_fail(call, CNI_TRY_AGAIN, "the agent has not read its datastore yet");
		return;
	}
	if (!endpoint)
		endpoint = endpoint_new(agent, container, ifname, 0);
	if (!endpoint) {
		server_fail(call, CNI_TRY_AGAIN, "all %u endpoint slots are in use",
			    agent->slots - 1);
		return;
	}
	endpoint_name(endpoint, request);
	endpoint_wishes(endpoint, request);
	endpoint->external = addresses != NULL;
	if (refuse_ports(agent, call, endpoint)) {
		forget_unfinished(agent, endpoint);
		return;
	}
	if (find_pod(agent, endpoint, &pod) < 0) {
		forget_unfinished(agent, endpoint);
		server_fail(call, CNI_TRY_AGAIN, "another Pod of that name is known");
		return;
	}
	if (!addresses) {
		ask_ipam(agent, call, request, endpoint, TAKE_PTR(pod));
		return;
	}
	endpoint_addresses(endpoint, addresses);
	server_answer(call, allocation(agent, endpoint, pod));
}

/* --- commit, del, check, gc, status -------------------------------------------------------- */

static bool same_interface(const struct endpoint *a, const struct endpoint *b)
{
	return a->ifindex == b->ifindex && a->mtu == b->mtu && a->netns_cookie == b->netns_cookie &&
	       !strcmp(a->host_ifname, b->host_ifname) && !memcmp(a->mac, b->mac, sizeof(a->mac)) &&
	       !memcmp(a->host_mac, b->host_mac, sizeof(a->host_mac));
}

/* After a restart between the two halves of ADD, the plugin's record tells the first half. */
static struct endpoint *find_or_restore(struct agent *agent, const json_t *request)
{
	const char *container = text_of(request, "container"), *ifname = text_of(request, "ifname");
	struct endpoint *endpoint = endpoint_find(agent, container, ifname);
	struct ipam_result held;
	struct ipam_owner owner;

	if (endpoint)
		return endpoint;
	endpoint = record_restore(agent, container, ifname);
	if (!endpoint)
		return NULL;
	owner = owner_of(endpoint);
	if (endpoint->external || ipam_find(agent->ipam, &owner, &held) == 0)
		return endpoint;
	endpoint_remove(agent, endpoint);
	return NULL;
}

static void op_commit(struct agent *agent, struct server_call *call, const json_t *request)
{
	json_int_t slot = json_integer_value(json_object_get(request, "slot"));
	struct endpoint *endpoint = find_or_restore(agent, request), before;

	if (!endpoint || (slot && slot != endpoint->slot)) {
		server_fail(call, CNI_TRY_AGAIN,
			    "not allocated, or the agent was restarted meanwhile");
		return;
	}
	before = *endpoint;
	endpoint_fill(endpoint, request);
	if (endpoint->ready && same_interface(endpoint, &before)) {
		server_answer(call, json_pack("{s:b}", "ok", 1));
		return;
	}
	if (refuse_ports(agent, call, endpoint))
		return;
	host_ports_tell(agent, endpoint); /* from now on they are taken */
	if (endpoint->waiting)
		server_fail(endpoint->waiting, CNI_TRY_AGAIN, "asked again meanwhile");
	endpoint->waiting = call;
	endpoint_commit(agent, endpoint);
}

/* A DEL that waits for the journal. */
struct release {
	struct server_call *call;
	bool link; /* the interface is ours to delete */
};

static void answer_del(struct server_call *call, bool link)
{
	server_answer(call, json_pack("{s:b,s:b}", "ok", 1, "link", link));
}

static void on_released(void *context, const struct ipam_result *result)
{
	struct release *release = context;

	if (result->status < 0)
		server_fail(release->call, CNI_TRY_AGAIN, "%s", result->err.text);
	else
		answer_del(release->call, release->link);
	free(release);
}

static void op_del(struct agent *agent, struct server_call *call, const json_t *request)
{
	const char *container = text_of(request, "container"), *ifname = text_of(request, "ifname");
	struct endpoint *endpoint = endpoint_find(agent, container, ifname);
	const char *network = text_of(request, "network");
	const struct ipam_owner owner = { .network = *network ? network : NULL,
					  .container = container,
					  .ifname = ifname };

	bool link = aside_take(agent, text_of(request, "link"));
	struct release *release;

	if (endpoint)
		endpoint_remove(agent, endpoint);
	if (json_is_true(json_object_get(request, "external"))) {
		answer_del(call, link);
		return;
	}
	release = xcalloc(1, sizeof(*release));
	*release = (struct release){ call, link };
	ipam_release(agent->ipam, &owner, on_released, release);
	event_active(agent->ipam_event, 0, 0);
}

static void op_check(struct agent *agent, struct server_call *call, const json_t *request)
{
	const struct endpoint *endpoint =
		endpoint_find(agent, text_of(request, "container"), text_of(request, "ifname"));
	json_t *addresses;

	if (!endpoint) {
		server_fail(call, CNI_UNKNOWN_CONTAINER,
			    "this node's agent holds no such attachment");
		return;
	}
	addresses = json_array();
	add_address(addresses, &endpoint->ip4);
	add_address(addresses, &endpoint->ip6);
	server_answer(call, json_pack("{s:b,s:o,s:i,s:i}", "ok", 1, "addresses", addresses, "slot",
				      endpoint->slot, "ifindex", (int)endpoint->ifindex));
}

static bool listed(const json_t *valid, const struct endpoint *endpoint)
{
	json_t *entry;
	size_t i;

	json_array_foreach(valid, i, entry) {
		if (!strcmp(text_of(entry, "container"), endpoint->container) &&
		    !strcmp(text_of(entry, "ifname"), endpoint->ifname))
			return true;
	}
	return false;
}

static void op_gc(struct agent *agent, struct server_call *call, const json_t *request)
{
	const json_t *valid = json_object_get(request, "valid");
	const char *network = text_of(request, "network");
	struct endpoint *endpoint, *next;

	if (!json_is_array(valid)) {
		server_fail(call, CNI_DECODE, "valid: must be a list");
		return;
	}
	HASH_ITER(hh, agent->endpoints, endpoint, next) {
		struct ipam_owner owner = owner_of(endpoint);

		if (strcmp(endpoint->network, network) || listed(valid, endpoint))
			continue;
		if (!endpoint->external)
			ipam_release(agent->ipam, &owner, NULL, NULL);
		endpoint_remove(agent, endpoint);
	}
	/* And what no endpoint stands for. */
	addresses_collect(agent, network);
	server_answer(call, json_pack("{s:b}", "ok", 1));
}

static void op_status(struct agent *agent, struct server_call *call, const json_t *request)
{
	struct err err = { 0 };

	(void)request;
	if (dp_prog_fd(agent->dp, "from_pod") < 0 || dp_prog_fd(agent->dp, "to_pod") < 0)
		server_fail(call, CNI_LIMITED, "programs are missing: %s",
			    dp_group_error(agent->dp, DP_GROUP_POD));
	else if (ipam_ready(agent->ipam, &err) < 0)
		server_fail(call, CNI_NO_ADDRESS_LEFT, "%s", err.text);
	else
		server_answer(call, json_pack("{s:b}", "ok", 1));
}

static void op_node(struct agent *agent, struct server_call *call, const json_t *request)
{
	const struct store_key key = node_key(agent);
	_cleanup_json_ json_t *node = NULL;
	json_t *cidrs = NULL;
	struct err err;

	(void)request;
	if (store_get(agent->store, &key, &node, &err) < 0) {
		server_fail(call, CNI_TRY_AGAIN, "%s", err.text);
		return;
	}
	cidrs = json_object_get(json_object_get(node, "spec"), "podCIDRs");
	server_answer(call,
		      json_pack("{s:b,s:O}", "ok", 1, "pod_cidrs", cidrs ? cidrs : json_array()));
}

static const struct op {
	const char *name;
	bool attachment; /* names one by container and ifname */
	void (*run)(struct agent *agent, struct server_call *call, const json_t *request);
} ops[] = {
	{ "allocate", true, op_allocate },
	{ "commit", true, op_commit },
	{ "del", true, op_del },
	{ "check", true, op_check },
	{ "gc", false, op_gc },
	{ "status", false, op_status },
	{ "node", false, op_node },
	{ "ipam-allocate", true, op_ipam_allocate },
	{ "ipam-release", true, op_ipam_release },
	{ "ipam-check", true, op_ipam_check },
	{ "ipam-gc", false, op_ipam_gc },
};

void cni_handle(void *context, struct server_call *call, json_t *request)
{
	const char *name = text_of(request, "op");
	struct agent *agent = context;

	quiet_busy(agent);
	if (json_integer_value(json_object_get(request, "version")) != PROTOCOL_VERSION) {
		server_fail(call, CNI_UNSUPPORTED,
			    "the agent speaks version %d of the socket's protocol",
			    PROTOCOL_VERSION);
		return;
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (strcmp(ops[i].name, name))
			continue;
		if (ops[i].attachment &&
		    (!*text_of(request, "container") || !*text_of(request, "ifname")))
			server_fail(call, CNI_DECODE, "container and ifname are missing");
		else
			ops[i].run(agent, call, request);
		return;
	}
	server_fail(call, CNI_UNSUPPORTED, "op \"%s\" is not known", name);
}
