/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/result.h"

#include "base/inet.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/names.h"

/* A list of prevResult to append to, or an empty one. */
static json_t *list_of(const struct cni_config *config, const char *key)
{
	const json_t *list = json_object_get(config->prev, key);

	return json_is_array(list) ? json_copy((json_t *)list) : json_array();
}

static json_t *interface_json(const struct cni_config *config, const char *name, const __u8 mac[6],
			      __u32 mtu)
{
	char text[MAC_TEXT_MAX];
	json_t *tree = json_pack("{s:s, s:s}", "name", name, "mac", mac_format(mac, text));

	if (config->version >= CNI_VERSION_1_1_0)
		json_object_set_new(tree, "mtu", json_integer(mtu));
	return tree;
}

static json_t *interfaces_json(const struct cni_config *config, const struct attachment *attachment,
			       size_t *ret_pod)
{
	json_t *list = list_of(config, "interfaces");
	json_t *pod;

	json_array_append_new(list, interface_json(config, attachment->host_ifname,
						   attachment->host_mac, attachment->mtu));
	pod = interface_json(config, attachment->ifname, attachment->mac, attachment->mtu);
	json_object_set_new(pod, "sandbox", json_string(attachment->netns));
	*ret_pod = json_array_size(list);
	json_array_append_new(list, pod);
	return list;
}

static const char *gateway_text(const struct attachment *attachment, bool v4, char *text)
{
	union mg_addr gateway = v4 ? gateway4() : gateway6(attachment->host_mac);

	return addr_format(&gateway, text);
}

static void put_ip(const struct cni_config *config, const struct attachment *attachment,
		   const union mg_addr *addr, json_t *list, size_t interface)
{
	struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = *addr };
	char text[PREFIX_TEXT_MAX], gateway[ADDR_TEXT_MAX];
	bool v4 = addr_is4(addr);
	json_t *tree;

	if (addr_is_zero(addr))
		return;
	tree = json_pack("{s:i, s:s, s:s}", "interface", (int)interface, "address",
			 prefix_format(&prefix, text), "gateway",
			 gateway_text(attachment, v4, gateway));
	if (config->version < CNI_VERSION_1_0_0)
		json_object_set_new(tree, "version", json_string(v4 ? "4" : "6"));
	json_array_append_new(list, tree);
}

static json_t *routes_json(const struct cni_config *config, const struct attachment *attachment)
{
	json_t *list = list_of(config, "routes");
	char text[PREFIX_TEXT_MAX], gateway[ADDR_TEXT_MAX];

	for (size_t i = 0; i < attachment->route_count; i++) {
		const struct mg_prefix *dst = &attachment->routes[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s}", "dst", prefix_format(dst, text), "gw",
					gateway_text(attachment, prefix_is4(dst), gateway)));
	}
	return list;
}

/* The configuration's goes first, then IPAM's, then a former plugin's. */
static json_t *dns_json(const struct cni_config *config, const struct attachment *attachment)
{
	const json_t *dns = config->dns ? config->dns : attachment->dns;

	if (!dns)
		dns = json_object_get(config->prev, "dns");
	return dns ? json_incref((json_t *)dns) : json_object();
}

json_t *result_build(const struct cni_config *config, const struct attachment *attachment)
{
	json_t *ips = list_of(config, "ips");
	json_t *interfaces;
	size_t pod;

	interfaces = interfaces_json(config, attachment, &pod);
	put_ip(config, attachment, &attachment->ip4, ips, pod);
	put_ip(config, attachment, &attachment->ip6, ips, pod);
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "cniVersion", cni_versions[config->version],
			 "interfaces", interfaces, "ips", ips, "routes",
			 routes_json(config, attachment), "dns", dns_json(config, attachment));
}
