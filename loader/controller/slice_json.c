/* SPDX-License-Identifier: Apache-2.0 */
/* EndpointSlices as objects of the API. */
#include <netinet/in.h>

#include "base/inet.h"
#include "base/utc.h"
#include "controller/slicer_own.h"

static void put_text(json_t *object, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(object, key, json_string(text));
}

static json_t *ports_json(const struct endpoint_slice *slice)
{
	json_t *list = json_array();

	for (size_t i = 0; i < slice->port_count; i++) {
		const struct slice_port *port = &slice->ports[i];
		json_t *item = json_pack("{s:s,s:s,s:i}", "name", port->name, "protocol",
					 transport_name(port->protocol), "port", port->port);

		put_text(item, "appProtocol", port->app_protocol);
		json_array_append_new(list, item);
	}
	return list;
}

static void put_names(json_t *hints, const char *key, const char **names, size_t count)
{
	json_t *list;

	if (!count)
		return;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s}", "name", names[i]));
	json_object_set_new(hints, key, list);
}

static json_t *target_json(const char *ns, const struct slice_endpoint *endpoint)
{
	json_t *target =
		json_pack("{s:s,s:s,s:s}", "kind", "Pod", "namespace", ns, "name", endpoint->pod);

	put_text(target, "uid", endpoint->pod_uid);
	return target;
}

static json_t *endpoint_json(const char *ns, const struct slice_endpoint *endpoint)
{
	char text[ADDR_TEXT_MAX];
	json_t *hints = json_object();
	json_t *item = json_pack("{s:[s],s:{s:b,s:b,s:b},s:o}", "addresses",
				 addr_format(endpoint->addrs, text), "conditions", "ready",
				 endpoint->ready, "serving", endpoint->serving, "terminating",
				 endpoint->terminating, "targetRef", target_json(ns, endpoint));

	put_text(item, "hostname", endpoint->hostname);
	put_text(item, "nodeName", endpoint->node);
	put_text(item, "zone", endpoint->zone);
	put_names(hints, "forZones", endpoint->zone_hints, endpoint->zone_hint_count);
	put_names(hints, "forNodes", endpoint->node_hints, endpoint->node_hint_count);
	if (json_object_size(hints))
		json_object_set(item, "hints", hints);
	json_decref(hints);
	return item;
}

static json_t *labels_json(const struct labels *labels)
{
	json_t *object = json_object();

	for (size_t i = 0; i < labels->count; i++)
		json_object_set_new(object, labels->v[i].key, json_string(labels->v[i].value));
	return object;
}

static json_t *owner_json(const struct service *service)
{
	return json_pack("[{s:s,s:s,s:s,s:s,s:b,s:b}]", "apiVersion", "v1", "kind", "Service",
			 "name", service->base.name, "uid", service->base.uid, "controller", 1,
			 "blockOwnerDeletion", 1);
}

json_t *slice_json_key(const struct object *slice)
{
	json_t *object =
		json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "discovery.k8s.io/v1", "kind",
			  "EndpointSlice", "metadata", "name", slice->name, "namespace", slice->ns);

	put_text(json_object_get(object, "metadata"), "resourceVersion", slice->version);
	return object;
}

json_t *slice_json(const struct service *service, const struct endpoint_slice *slice,
		   uint64_t now_ms)
{
	json_t *object = slice_json_key(&slice->base), *endpoints = json_array();
	json_t *metadata = json_object_get(object, "metadata");
	char text[UTC_TEXT_MAX];

	json_object_set_new(metadata, "labels", labels_json(&slice->base.labels));
	json_object_set_new(metadata, "annotations",
			    json_pack("{s:s}", ANNOTATION_TRIGGER_TIME, utc_format(now_ms, text)));
	json_object_set_new(metadata, "ownerReferences", owner_json(service));
	json_object_set_new(object, "addressType", json_string(slice->is6 ? "IPv6" : "IPv4"));
	json_object_set_new(object, "ports", ports_json(slice));
	for (size_t i = 0; i < slice->endpoint_count; i++)
		json_array_append_new(endpoints,
				      endpoint_json(slice->base.ns, &slice->endpoints[i]));
	json_object_set_new(object, "endpoints", endpoints);
	return object;
}
