/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/record.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "cni/attachment.h"
#include "cni/error.h"
#include "cni/names.h"
#include "cni/ports.h"

static void put_text(json_t *tree, const char *key, const char *text)
{
	if (text)
		json_object_set_new(tree, key, json_string(text));
}

static void put_number(json_t *tree, const char *key, __u64 number)
{
	json_object_set_new(tree, key, json_integer((json_int_t)number));
}

static void put_mac(json_t *tree, const char *key, const __u8 mac[6])
{
	char text[MAC_TEXT_MAX];

	json_object_set_new(tree, key, json_string(mac_format(mac, text)));
}

static void put_addr(json_t *list, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_zero(addr))
		json_array_append_new(list, json_string(addr_format(addr, text)));
}

/* As the capability writes it. */
static void put_bandwidth(json_t *tree, const struct bandwidth *bandwidth)
{
	json_t *object = json_object();

	put_number(object, "ingressRate", bandwidth->ingress_rate);
	put_number(object, "ingressBurst", bandwidth->ingress_burst);
	put_number(object, "egressRate", bandwidth->egress_rate);
	put_number(object, "egressBurst", bandwidth->egress_burst);
	json_object_set_new(tree, "bandwidth", object);
}

json_t *record_encode(const struct attachment *attachment)
{
	json_t *tree = json_object(), *addresses = json_array(), *routes = json_array();
	char text[PREFIX_TEXT_MAX];

	put_number(tree, "version", RECORD_VERSION);
	put_text(tree, "container", attachment->container);
	put_text(tree, "ifname", attachment->ifname);
	put_text(tree, "network", attachment->network);
	put_text(tree, "netns", attachment->netns);
	put_text(tree, "namespace", attachment->pod_namespace);
	put_text(tree, "pod", attachment->pod);
	put_text(tree, "uid", attachment->uid);
	put_text(tree, "host_ifname", attachment->host_ifname);
	put_text(tree, "config", attachment->config);
	json_object_set_new(tree, "ready", json_boolean(attachment->ready));
	json_object_set_new(tree, "external", json_boolean(attachment->external));
	put_number(tree, "slot", attachment->slot);
	put_number(tree, "ifindex", attachment->ifindex);
	put_number(tree, "pod_ifindex", attachment->pod_ifindex);
	put_number(tree, "mtu", attachment->mtu);
	put_number(tree, "netns_cookie", attachment->netns_cookie);
	put_mac(tree, "mac", attachment->mac);
	put_mac(tree, "host_mac", attachment->host_mac);
	put_addr(addresses, &attachment->ip4);
	put_addr(addresses, &attachment->ip6);
	for (size_t i = 0; i < attachment->route_count; i++)
		json_array_append_new(routes,
				      json_string(prefix_format(&attachment->routes[i], text)));
	json_object_set_new(tree, "addresses", addresses);
	json_object_set_new(tree, "routes", routes);
	put_bandwidth(tree, &attachment->bandwidth);
	if (attachment->dns)
		json_object_set(tree, "dns", attachment->dns);
	if (attachment->labels)
		json_object_set(tree, "labels", attachment->labels);
	if (attachment->ports)
		json_object_set(tree, "portMappings", attachment->ports);
	return tree;
}

static int get_text(struct arena *arena, const json_t *tree, const char *key, const char **target)
{
	const char *text = json_string_value(json_object_get(tree, key));

	if (!text)
		return -EBADMSG;
	*target = arena_strdup(arena, text);
	return 0;
}

static int get_number(const json_t *tree, const char *key, __u64 limit, __u64 *ret_number)
{
	const json_t *value = json_object_get(tree, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (__u64)json_integer_value(value) > limit)
		return -EBADMSG;
	*ret_number = (__u64)json_integer_value(value);
	return 0;
}

static int get_u32(const json_t *tree, const char *key, __u32 *target)
{
	__u64 number;
	int r = get_number(tree, key, UINT32_MAX, &number);

	if (!r)
		*target = (__u32)number;
	return r;
}

/* Zeroes stand for "not known yet". */
static int get_mac(const json_t *tree, const char *key, __u8 mac[6])
{
	const char *text = json_string_value(json_object_get(tree, key));

	if (!text)
		return -EBADMSG;
	if (!strcmp(text, "00:00:00:00:00:00"))
		return 0;
	return mac_parse(text, mac) < 0 ? -EBADMSG : 0;
}

static int get_addresses(const json_t *tree, struct attachment *attachment)
{
	const json_t *list = json_object_get(tree, "addresses");
	union mg_addr addr;
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)list, i, value) {
		const char *text = json_string_value(value);

		if (!text || addr_parse(text, &addr) < 0)
			return -EBADMSG;
		*(addr_is4(&addr) ? &attachment->ip4 : &attachment->ip6) = addr;
	}
	return 0;
}

static int get_routes(const json_t *tree, struct attachment *attachment)
{
	const json_t *list = json_object_get(tree, "routes");
	size_t count = json_array_size(list), i;
	json_t *value;

	if (count > ATTACHMENT_ROUTES_MAX)
		return -EBADMSG;
	attachment->routes = arena_array(attachment->arena, count + 1, sizeof(*attachment->routes));
	json_array_foreach((json_t *)list, i, value) {
		const char *text = json_string_value(value);

		if (!text || prefix_parse(text, true, &attachment->routes[i]) < 0)
			return -EBADMSG;
		attachment->route_count = i + 1;
	}
	return 0;
}

static int get_names(const json_t *tree, struct attachment *attachment)
{
	struct arena *arena = attachment->arena;
	const char *host_ifname;

	if (get_text(arena, tree, "container", &attachment->container) < 0 ||
	    get_text(arena, tree, "ifname", &attachment->ifname) < 0 ||
	    get_text(arena, tree, "network", &attachment->network) < 0 ||
	    get_text(arena, tree, "netns", &attachment->netns) < 0 ||
	    get_text(arena, tree, "namespace", &attachment->pod_namespace) < 0 ||
	    get_text(arena, tree, "pod", &attachment->pod) < 0 ||
	    get_text(arena, tree, "uid", &attachment->uid) < 0 ||
	    get_text(arena, tree, "host_ifname", &host_ifname) < 0)
		return -EBADMSG;
	if (!*host_ifname || strlen(host_ifname) >= sizeof(attachment->host_ifname))
		return -EBADMSG;
	memcpy(attachment->host_ifname, host_ifname, strlen(host_ifname) + 1);
	return 0;
}

static int get_numbers(const json_t *tree, struct attachment *attachment)
{
	if (get_u32(tree, "slot", &attachment->slot) < 0 ||
	    get_u32(tree, "ifindex", &attachment->ifindex) < 0 ||
	    get_u32(tree, "pod_ifindex", &attachment->pod_ifindex) < 0 ||
	    get_u32(tree, "mtu", &attachment->mtu) < 0 ||
	    get_number(tree, "netns_cookie", INT64_MAX, &attachment->netns_cookie) < 0)
		return -EBADMSG;
	return 0;
}

int record_decode(const json_t *tree, struct attachment *attachment)
{
	struct cni_error ignored;
	__u64 version;

	attachment->arena = arena_new();
	if (get_number(tree, "version", RECORD_VERSION, &version) < 0 ||
	    get_names(tree, attachment) < 0 || get_numbers(tree, attachment) < 0 ||
	    get_mac(tree, "mac", attachment->mac) < 0 ||
	    get_mac(tree, "host_mac", attachment->host_mac) < 0 ||
	    get_addresses(tree, attachment) < 0 || get_routes(tree, attachment) < 0 ||
	    bandwidth_read(json_object_get(tree, "bandwidth"), &attachment->bandwidth, &ignored) <
		    0 ||
	    ports_read(json_object_get(tree, "portMappings"), &attachment->ports, &ignored) < 0)
		return -EBADMSG;
	attachment->ready = json_is_true(json_object_get(tree, "ready"));
	attachment->external = json_is_true(json_object_get(tree, "external"));
	if (json_object_get(tree, "config"))
		get_text(attachment->arena, tree, "config", &attachment->config);
	attachment->dns = json_incref(json_object_get(tree, "dns"));
	attachment->labels = json_incref(json_object_get(tree, "labels"));
	return 0;
}
