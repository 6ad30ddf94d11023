/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/addresses.h"

#include <errno.h>
#include <string.h>

#include "agent/cni.h"
#include "agent/endpoint.h"
#include "agent/objects.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/log.h"
#include "model/pod.h"

#define FIXED_MAX 8
#define NODE_LABELS_MAX 1024

static const char *text_of(const json_t *request, const char *key)
{
	return json_text_or(request, key, "");
}

/* Answers come from ipam_commit(), which the event runs. */
static void wake(struct agent *agent)
{
	event_active(agent->ipam_event, 0, 0);
}

/* --- asking ---------------------------------------------------------------------------------- */

int addresses_code(int status)
{
	if (status == -EAGAIN || status == -ECANCELED)
		return CNI_TRY_AGAIN;
	return status == -EINVAL ? CNI_INVALID_CONFIG : CNI_NO_ADDRESS;
}

static size_t fixed_of(const json_t *request, union mg_addr *fixed)
{
	size_t count = 0, i;
	struct mg_prefix prefix;
	json_t *value;

	json_array_foreach(json_object_get(request, "ips"), i, value) {
		const char *text = json_string_value(value);

		if (text && count < FIXED_MAX && !prefix_parse(text, true, &prefix))
			fixed[count++] = prefix.addr;
	}
	return count;
}

static enum ipam_family families_of(const struct agent *agent, const json_t *request)
{
	const json_t *v4 = json_object_get(request, "ipv4"), *v6 = json_object_get(request, "ipv6");

	if (!state_params(agent->state)->ipv6)
		return IPAM_V4;
	if (!v4 && !v6)
		return IPAM_AUTO;
	return (json_is_false(v4) ? 0 : IPAM_V4) | (json_is_true(v6) ? IPAM_V6 : 0);
}

static const char *annotation(const struct object *object, const char *key)
{
	return object ? labels_get(&object->annotations, key) : NULL;
}

void addresses_ask(struct agent *agent, const struct addresses_wish *wish, ipam_done_fn *done,
		   void *context)
{
	const struct ipam_owner *owner = &wish->owner;
	const struct object *pod = wish->pod;
	const json_t *request = wish->request;
	const struct object *ns = state_namespace(agent->state, owner->namespace_name);
	_cleanup_free_ char *pools4 = json_dumps(json_object_get(request, "ipv4_pools"), 0);
	_cleanup_free_ char *pools6 = json_dumps(json_object_get(request, "ipv6_pools"), 0);
	struct label name = { .key = LABEL_METADATA_NAME, .value = owner->namespace_name };
	const struct labels alone = { .count = 1, .v = &name };
	const struct labels *labels = ns ? &ns->labels : &alone;
	union mg_addr fixed[FIXED_MAX];
	struct ipam_request ask = {
		.owner = *owner,
		.families = families_of(agent, request),
		.pod_pools = { annotation(pod, "cni.projectcalico.org/ipv4pools"),
			       annotation(pod, "cni.projectcalico.org/ipv6pools") },
		.ns_pools = { annotation(ns, "cni.projectcalico.org/ipv4pools"),
			      annotation(ns, "cni.projectcalico.org/ipv6pools") },
		.conf_pools = { pools4, pools6 },
		.ns_labels = { (const struct ipam_label *)labels->v, labels->count },
		.ip_addrs = annotation(pod, "cni.projectcalico.org/ipAddrs"),
		.fixed = fixed,
		.fixed_count = fixed_of(request, fixed),
	};

	ipam_request(agent->ipam, &ask, done, context);
	wake(agent);
}

/* --- what runs ------------------------------------------------------------------------------- */

static void list_endpoint(const struct endpoint *ep, struct ipam_attachment *entry,
			  union mg_addr *own)
{
	entry->owner = (struct ipam_owner){
		.network = ep->network,
		.container = ep->container,
		.ifname = ep->ifname,
		.namespace_name = ep->ns,
		.pod = ep->pod,
	};
	entry->addrs = own;
	if (ep->external)
		return;
	if (!addr_is_zero(&ep->ip4))
		own[entry->addr_count++] = ep->ip4;
	if (!addr_is_zero(&ep->ip6))
		own[entry->addr_count++] = ep->ip6;
}

static void collect(struct agent *agent, const struct ipam_gc *gc)
{
	struct ipam_gc_report report = { 0 };
	struct err err;

	if (ipam_collect_garbage(agent->ipam, gc, &report, &err) < 0)
		log_warning("address garbage collection", "why", err.text, NULL);
	if (report.conflicts)
		log_error("addresses of running pods belong to others, see margayctl ipam check",
			  NULL);
	wake(agent);
}

void addresses_release(struct agent *agent, const struct endpoint *endpoint)
{
	const struct ipam_owner owner = { .network = *endpoint->network ? endpoint->network : NULL,
					  .container = endpoint->container,
					  .ifname = endpoint->ifname };

	ipam_release(agent->ipam, &owner, NULL, NULL);
	wake(agent);
}

void addresses_collect(struct agent *agent, const char *network)
{
	size_t count = 0, total = HASH_COUNT(agent->endpoints);
	struct ipam_attachment *valid = xcalloc(total + 1, sizeof(*valid));
	union mg_addr *addrs = xcalloc(total + 1, 2 * sizeof(*addrs));

	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next, count++)
		list_endpoint(ep, &valid[count], &addrs[count * 2]);
	collect(agent, &(struct ipam_gc){ .network = network, .valid = valid, .count = count });
	free(valid);
	free(addrs);
}

void addresses_node(struct agent *agent, const json_t *node)
{
	const json_t *map = json_at(node, "metadata.labels");
	size_t count = 0, room = json_object_size(map);
	struct ipam_label *items;
	const char *key;
	json_t *value;

	if (room > NODE_LABELS_MAX)
		room = NODE_LABELS_MAX;
	items = xcalloc(room + 1, sizeof(*items));
	json_object_foreach((json_t *)map, key, value) {
		if (count < room && json_is_string(value))
			items[count++] = (struct ipam_label){ key, json_string_value(value) };
	}
	ipam_node_labels(agent->ipam, &(struct ipam_labels){ items, count });
	free(items);
	wake(agent);
}

/* --- margay-ipam ----------------------------------------------------------------------------- */

static struct ipam_owner bare_owner(const json_t *request)
{
	const char *ns = text_of(request, "namespace");

	return (struct ipam_owner){
		.network = text_of(request, "network"),
		.container = text_of(request, "container"),
		.ifname = text_of(request, "ifname"),
		.namespace_name = *ns ? ns : "default",
		.pod = text_of(request, "pod"),
		.bare = true,
	};
}

static json_t *address_list(const struct ipam_result *result)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < result->count; i++)
		json_array_append_new(list, json_string(addr_format(&result->addrs[i].addr, text)));
	return list;
}

static void on_bare(void *context, const struct ipam_result *result)
{
	struct server_call *call = context;

	if (result->status < 0)
		server_fail(call, addresses_code(result->status), "%s", result->err.text);
	else
		server_answer(call,
			      json_pack("{s:b, s:o}", "ok", 1, "addresses", address_list(result)));
}

void op_ipam_allocate(struct agent *agent, struct server_call *call, const json_t *request)
{
	struct addresses_wish wish = { .request = request, .owner = bare_owner(request) };
	_cleanup_object_ struct object *pod = NULL;

	if (!agent->synced) {
		server_fail(call, CNI_TRY_AGAIN, "the agent has not read its datastore yet");
		return;
	}
	if (*wish.owner.pod && objects_pod(agent, wish.owner.namespace_name, wish.owner.pod,
					   text_of(request, "uid"), &pod) < 0) {
		server_fail(call, CNI_TRY_AGAIN, "another Pod of that name is known");
		return;
	}
	wish.pod = pod;
	addresses_ask(agent, &wish, on_bare, call);
}

void op_ipam_release(struct agent *agent, struct server_call *call, const json_t *request)
{
	const struct ipam_owner owner = bare_owner(request);

	ipam_release(agent->ipam, &owner, on_bare, call);
	wake(agent);
}

void op_ipam_check(struct agent *agent, struct server_call *call, const json_t *request)
{
	const struct ipam_owner owner = bare_owner(request);
	struct ipam_result result;

	if (ipam_find(agent->ipam, &owner, &result) < 0)
		server_fail(call, CNI_UNKNOWN_CONTAINER, "no address is held for it");
	else
		on_bare(call, &result);
}

void op_ipam_gc(struct agent *agent, struct server_call *call, const json_t *request)
{
	const json_t *list = json_object_get(request, "valid"), *item;
	struct ipam_gc gc = { .network = text_of(request, "network") };
	struct ipam_attachment *valid;
	size_t i;

	if (!json_is_array(list) || !*gc.network) {
		server_fail(call, CNI_DECODE, "valid: must be a list, network a name");
		return;
	}
	valid = xcalloc(json_array_size(list) + 1, sizeof(*valid));
	json_array_foreach((json_t *)list, i, item)
		valid[i].owner = (struct ipam_owner){
			.network = gc.network,
			.container = text_of(item, "container"),
			.ifname = text_of(item, "ifname"),
		};
	gc.valid = valid;
	gc.count = json_array_size(list);
	collect(agent, &gc);
	free(valid);
	server_answer(call, json_pack("{s:b}", "ok", 1));
}
