/* SPDX-License-Identifier: Apache-2.0 */
/* ADD and DEL as the agent calls them: copied into a queue, worked off by queue.c. */
#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

static char *copy_text(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void copy_labels(struct request *request, const struct ipam_labels *labels)
{
	request->ns_labels = xcalloc(labels->count + 1, sizeof(*request->ns_labels));
	for (size_t i = 0; i < labels->count; i++)
		request->ns_labels[i] = (struct ipam_label){
			.key = copy_text(labels->items[i].key),
			.value = copy_text(labels->items[i].value),
		};
	request->ns_count = labels->count;
}

void request_free(struct ipam *ipam, struct request *request)
{
	DL_DELETE(ipam->requests, request);
	for (size_t i = 0; i < request->fixed_count; i++) {
		struct entry *entry = entry_find(ipam, &request->fixed[i]);

		if (entry)
			entry->pinned = false;
	}
	for (int f = 0; f < 2; f++)
		for (int i = 0; i < 3; i++)
			free(request->lists[f][i]);
	for (size_t i = 0; i < request->ns_count; i++) {
		free((char *)request->ns_labels[i].key);
		free((char *)request->ns_labels[i].value);
	}
	free(request->ns_labels);
	json_decref(request->secondary);
	free(request->handle);
	free(request);
}

/* --- handle and attribute -------------------------------------------------------------------- */

const char *owner_network(const struct ipam_owner *owner)
{
	return owner->network && *owner->network ? owner->network : DEFAULT_NETWORK;
}

static int owner_handle(const struct ipam_owner *owner, char **ret_handle, struct err *err)
{
	const char *network = owner_network(owner);

	if (!owner->container || !*owner->container)
		return err_set(err, -EINVAL, "no container id");
	if (strlen(network) + 1 + strlen(owner->container) >= IPAM_HANDLE_MAX)
		return err_set(err, -EINVAL, "network and container id: longer than %d",
			       IPAM_HANDLE_MAX);
	*ret_handle = xasprintf("%s.%s", network, owner->container);
	return 0;
}

static const char *owner_ifname(const struct ipam_owner *owner)
{
	return owner->ifname && *owner->ifname ? owner->ifname : "eth0";
}

json_t *owner_secondary(const struct ipam_owner *owner)
{
	json_t *map = json_object();

	if (owner->pod && *owner->pod)
		json_object_set_new(map, "pod", json_string(owner->pod));
	if (owner->namespace_name && *owner->namespace_name)
		json_object_set_new(map, "namespace", json_string(owner->namespace_name));
	if (strcmp(owner_ifname(owner), "eth0") != 0)
		json_object_set_new(map, "interface", json_string(owner->ifname));
	if (owner->bare)
		json_object_set_new(map, "plugin", json_string("margay-ipam"));
	return map;
}

/* --- fixed addresses ------------------------------------------------------------------------- */

static int add_fixed(struct request *request, const union mg_addr *addr, struct err *err)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < request->fixed_count; i++)
		if (addr_is4(&request->fixed[i]) == addr_is4(addr))
			return err_set(err, -EINVAL,
				       "fixed address %s: only one of each family can be given",
				       addr_format(addr, text));
	request->fixed[request->fixed_count++] = *addr;
	return 0;
}

static int parse_ip_addrs(struct request *request, const char *text, struct err *err)
{
	_cleanup_json_ json_t *list = json_loads(text, 0, NULL);
	const json_t *item;
	size_t i;
	int r;

	if (!json_is_array(list) || !json_array_size(list))
		return err_set(err, -EINVAL, "ipAddrs: not a JSON list of addresses: %.80s", text);
	json_array_foreach(list, i, item) {
		const char *one = json_string_value(item);
		union mg_addr addr;

		if (!one || addr_parse(one, &addr) < 0)
			return err_set(err, -EINVAL, "ipAddrs: element %zu is not an address", i);
		r = add_fixed(request, &addr, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_fixed(struct request *request, const struct ipam_request *from, struct err *err)
{
	int r = 0;

	if (from->ip_addrs && *from->ip_addrs)
		return parse_ip_addrs(request, from->ip_addrs, err);
	for (size_t i = 0; i < from->fixed_count && !r; i++)
		r = add_fixed(request, &from->fixed[i], err);
	return r;
}

/* --- the calls ------------------------------------------------------------------------------- */

static struct request *enqueue(struct ipam *ipam, ipam_done_fn *done, void *arg)
{
	struct request *request = xcalloc(1, sizeof(*request));

	request->use = POOL_WORKLOAD;
	request->round = ipam->round;
	request->since_ms = ipam->now(ipam->now_arg);
	request->done = done;
	request->arg = arg;
	DL_APPEND(ipam->requests, request);
	return request;
}

void ipam_request(struct ipam *ipam, const struct ipam_request *from, ipam_done_fn *done, void *arg)
{
	struct request *request = enqueue(ipam, done, arg);

	request->families = from->families;
	request->secondary = owner_secondary(&from->owner);
	copy_labels(request, &from->ns_labels);
	for (int f = 0; f < 2; f++) {
		request->lists[f][0] = copy_text(from->pod_pools[f]);
		request->lists[f][1] = copy_text(from->ns_pools[f]);
		request->lists[f][2] = copy_text(from->conf_pools[f]);
	}
	if (owner_handle(&from->owner, &request->handle, &request->bad) < 0)
		return;
	copy_fixed(request, from, &request->bad);
}

void ipam_request_tunnel(struct ipam *ipam, const struct ipam_tunnel *tunnel, ipam_done_fn *done,
			 void *arg)
{
	struct request *request = enqueue(ipam, done, arg);

	request->use = POOL_TUNNEL;
	request->families = tunnel->family;
	request->handle = xstrdup(tunnel->handle);
	request->lists[tunnel->family == IPAM_V6][2] = copy_text(tunnel->pools);
	request->secondary = json_pack("{s:s}", "type", tunnel->type);
	if (strlen(tunnel->handle) >= IPAM_HANDLE_MAX)
		err_set(&request->bad, -EINVAL, "handle longer than %d", IPAM_HANDLE_MAX);
}

static void cancel_requests(struct ipam *ipam, const char *handle, const char *ifname)
{
	struct request *request, *next;
	struct err err = {};

	err_set(&err, -ECANCELED, "released while the request waited");
	DL_FOREACH_SAFE(ipam->requests, request, next) {
		const char *own =
			json_string_value(json_object_get(request->secondary, "interface"));

		if (request->handle && !strcmp(request->handle, handle) &&
		    (!ifname || !strcmp(own ? own : "eth0", ifname)))
			ack_from(ipam, request, &err);
	}
}

static void release(struct ipam *ipam, const char *handle, const char *ifname)
{
	struct entry *entry, *next;

	cancel_requests(ipam, handle, ifname);
	HASH_ITER(hh, ipam->entries, entry, next) {
		if (entry->state != ENTRY_TAKEN && entry->state != ENTRY_LIVE)
			continue;
		if (entry_is_of(entry, handle, ifname))
			entry_set(ipam, entry, ENTRY_RELEASING, NULL);
	}
}

void ipam_release(struct ipam *ipam, const struct ipam_owner *owner, ipam_done_fn *done, void *arg)
{
	_cleanup_free_ char *handle = NULL;

	if (!owner_handle(owner, &handle, NULL))
		release(ipam, handle, owner_ifname(owner));
	ack_add(ipam, done, arg);
}

void ipam_release_handle(struct ipam *ipam, const char *handle, ipam_done_fn *done, void *arg)
{
	if (strcmp(handle, ipam->reserve_handle) != 0)
		release(ipam, handle, NULL);
	ack_add(ipam, done, arg);
}

int ipam_release_addr(struct ipam *ipam, const union mg_addr *addr)
{
	struct entry *entry = entry_find(ipam, addr);

	if (!entry)
		return -ENOENT;
	switch (entry->state) {
	case ENTRY_TAKEN:
	case ENTRY_LIVE:
		entry_set(ipam, entry, ENTRY_RELEASING, NULL);
		break;
	case ENTRY_RESERVE:
		entry_set(ipam, entry, ENTRY_UNRESERVING, NULL);
		break;
	case ENTRY_RELEASING:
	case ENTRY_UNRESERVING:
		break;
	}
	return 0;
}

int ipam_find(struct ipam *ipam, const struct ipam_owner *owner, struct ipam_result *ret_result)
{
	_cleanup_free_ char *handle = NULL;
	struct entry *entry, *next;
	struct ack ack = {};

	if (owner_handle(owner, &handle, NULL) < 0)
		return -ENOENT;
	HASH_ITER(hh, ipam->entries, entry, next) {
		if ((entry->state == ENTRY_TAKEN || entry->state == ENTRY_LIVE) &&
		    entry_is_of(entry, handle, owner_ifname(owner)))
			ack_addr(ipam, &ack, entry);
	}
	if (!ack.result.count)
		return -ENOENT;
	*ret_result = ack.result;
	return 0;
}
