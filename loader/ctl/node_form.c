/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/node_form.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/kind.h"

#define PREFIX API_GROUP_CALICO "/"

/* Where a value stands in either form. */
static const struct {
	const char *part; /* of spec; "" is spec itself */
	const char *field;
	const char *annotation;
} fields[] = {
	{ "bgp", "ipv4Address", PREFIX "IPv4Address" },
	{ "bgp", "ipv6Address", PREFIX "IPv6Address" },
	{ "bgp", "ipv4IPIPTunnelAddr", PREFIX "IPv4IPIPTunnelAddr" },
	{ "bgp", "ipv6IPIPTunnelAddr", PREFIX "IPv6IPIPTunnelAddr" },
	{ "bgp", "routeReflectorClusterID", PREFIX "RouteReflectorClusterID" },
	{ "bgp", "asNumber", PREFIX "ASNumber" },
	{ "", "ipv4VXLANTunnelAddr", PREFIX "IPv4VXLANTunnelAddr" },
	{ "", "ipv6VXLANTunnelAddr", PREFIX "IPv6VXLANTunnelAddr" },
	{ "", "vxlanTunnelMACAddr", PREFIX "VXLANTunnelMACAddr" },
	{ "", "vxlanTunnelMACAddrV6", PREFIX "VXLANTunnelMACAddrV6" },
	{ "wireguard", "interfaceIPv4Address", PREFIX "IPv4WireguardInterfaceAddr" },
	{ "wireguard", "interfaceIPv6Address", PREFIX "IPv6WireguardInterfaceAddr" },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static json_t *member(json_t *tree, const char *key)
{
	json_t *value;

	if (!*key)
		return tree;
	value = json_object_get(tree, key);
	if (!json_is_object(value)) {
		value = json_object();
		json_object_set_new(tree, key, value);
	}
	return value;
}

static bool is_node(const json_t *object, const char *api)
{
	return !strcmp(json_text_or(object, "kind", ""), "Node") &&
	       !strcmp(json_text_or(object, "apiVersion", ""), api);
}

/* --- to Calico's --- */

static void field_to_calico(json_t *spec, json_t *annotations, size_t i)
{
	const char *text = json_string_value(json_object_get(annotations, fields[i].annotation));
	char *end;
	long number;

	if (!text)
		return;
	number = strtol(text, &end, 10);
	json_object_set_new(member(spec, fields[i].part), fields[i].field,
			    !strcmp(fields[i].field, "asNumber") && end != text && !*end
				    ? json_integer(number)
				    : json_string(text));
	json_object_del(annotations, fields[i].annotation);
}

static void addresses_to_calico(json_t *spec, const json_t *object)
{
	static const char *const own[] = { "bgp.ipv4Address", "bgp.ipv6Address" };
	json_t *list = json_array(), *address;
	size_t i;

	for (i = 0; i < 2; i++) {
		const char *text = json_text_at(spec, own[i]);

		if (text)
			json_array_append_new(list, json_pack("{s:s, s:s}", "address", text, "type",
							      "CalicoNodeIP"));
	}
	json_array_foreach(json_at(object, "status.addresses"), i, address)
		json_array_append(list, address);
	if (json_array_size(list))
		json_object_set(spec, "addresses", list);
	json_decref(list);
}

json_t *node_to_calico(const json_t *object)
{
	_cleanup_json_ json_t *metadata = NULL;
	json_t *annotations, *spec, *cidrs;

	if (!is_node(object, "v1"))
		return json_deep_copy(object);
	metadata = json_deep_copy(json_object_get(object, "metadata"));
	annotations = json_object_get(metadata, "annotations");
	spec = json_object();
	for (size_t i = 0; i < FIELDS; i++)
		field_to_calico(spec, annotations, i);
	if (annotations && !json_object_size(annotations))
		json_object_del(metadata, "annotations");
	addresses_to_calico(spec, object);
	json_object_set_new(spec, "orchRefs",
			    json_pack("[{s:s, s:s}]", "nodeName",
				      json_text_or(metadata, "name", ""), "orchestrator", "k8s"));
	cidrs = json_at(object, "spec.podCIDRs");
	return json_pack("{s:s, s:s, s:O, s:o, s:o*}", "apiVersion", API_GROUP_CALICO "/v3", "kind",
			 "Node", "metadata", metadata, "spec", spec, "status",
			 cidrs ? json_pack("{s:O}", "podCIDRs", cidrs) : NULL);
}

/* --- to Kubernetes' --- */

static void field_to_kubernetes(const json_t *spec, json_t *annotations, size_t i)
{
	const json_t *part = *fields[i].part ? json_object_get(spec, fields[i].part) : spec;
	const json_t *value = json_object_get(part, fields[i].field);

	json_object_del(annotations, fields[i].annotation);
	if (json_is_integer(value))
		json_object_set_new(annotations, fields[i].annotation,
				    json_sprintf("%lld", (long long)json_integer_value(value)));
	else if (json_is_string(value))
		json_object_set(annotations, fields[i].annotation, (json_t *)value);
}

static void addresses_to_kubernetes(json_t *object, const json_t *spec)
{
	json_t *list = json_array(), *address;
	size_t i;

	json_array_foreach(json_object_get(spec, "addresses"), i, address)
		if (strcmp(json_text_or(address, "type", "CalicoNodeIP"), "CalicoNodeIP"))
			json_array_append(list, address);
	if (json_array_size(list))
		json_object_set(member(object, "status"), "addresses", list);
	json_decref(list);
}

json_t *node_to_kubernetes(const json_t *object, const json_t *base)
{
	json_t *result, *metadata, *annotations, *cidrs;
	const json_t *spec = json_object_get(object, "spec");

	if (!is_node(object, API_GROUP_CALICO "/v3"))
		return json_deep_copy(object);
	result = is_node(base, "v1") ? json_deep_copy(base) : json_object();
	metadata = json_deep_copy(json_object_get(object, "metadata"));
	json_object_set_new(result, "apiVersion", json_string("v1"));
	json_object_set_new(result, "kind", json_string("Node"));
	json_object_set_new(result, "metadata", metadata);
	annotations = member(metadata, "annotations");
	for (size_t i = 0; i < FIELDS; i++)
		field_to_kubernetes(spec, annotations, i);
	if (!json_object_size(annotations))
		json_object_del(metadata, "annotations");
	addresses_to_kubernetes(result, spec);
	cidrs = json_at(object, "status.podCIDRs");
	if (cidrs) {
		json_object_set(member(result, "spec"), "podCIDRs", cidrs);
		json_object_set(member(result, "spec"), "podCIDR", json_array_get(cidrs, 0));
	}
	return result;
}
