/* SPDX-License-Identifier: Apache-2.0 */
/* Service (core/v1) and EndpointSlice (discovery.k8s.io/v1). Unknown fields are no news. */
#include "model/service.h"

#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"
#include "model/names.h"

#define ADDRS_MAX 64

/* "None" and "" are no addresses. */
static READER(read_cluster_ips)
{
	struct service *service = at;
	union mg_addr *v = arena_array(d->arena, ADDRS_MAX, sizeof(*v));
	const json_t *item;
	size_t index;

	json_array_foreach(value, index, item) {
		const struct path place = { .up = path, .index = index };
		const char *text = json_string_value(item);

		if (text && *text && strcmp(text, "None") && service->cluster_ip_count < ADDRS_MAX)
			read_addr(d, &place, item, field, &v[service->cluster_ip_count++]);
	}
	service->cluster_ips = v;
}

static READER(read_target_port)
{
	const char *name = json_string_value(value);
	struct service_port *port = at;

	(void)field;
	if (name)
		port->target_name = arena_strdup(d->arena, name);
	else if (json_integer_value(value) && int_in_range(d, path, value, 1, 65535))
		port->target_port = (uint16_t)json_integer_value(value);
}

static const struct field port_fields[] = {
	FIELD("name", struct service_port, name, read_text),
	FIELD("protocol", struct service_port, protocol, read_enum, .enums = transport_protocols),
	FIELD("port", struct service_port, port, read_int, .flags = FIELD_REQUIRED, .min = 1,
	      .max = 65535),
	FIELD("nodePort", struct service_port, node_port, read_int, .max = 65535),
	{ .name = "targetPort", .read = read_target_port },
	FIELD_END
};

static void check_service_port(struct decode *d, const struct path *path, const json_t *value,
			       void *at)
{
	struct service_port *port = at;

	(void)d;
	(void)path;
	(void)value;
	if (!port->name)
		port->name = "";
	if (!port->protocol)
		port->protocol = IPPROTO_TCP;
}

static const struct shape port_shape = { .fields = port_fields,
					 .open = true,
					 .check = check_service_port };
static const struct field port_field = { .read = read_object,
					 .shape = &port_shape,
					 .flags = FIELD_DROP };
static const struct field addr_field = { .read = read_addr, .flags = FIELD_DROP };
static const struct field range_field = { .read = read_prefix,
					  .flags = FIELD_DROP | FIELD_HOST_OK };

static const struct enum_text service_types[] = { { "ClusterIP", SERVICE_CLUSTER_IP },
						  { "NodePort", SERVICE_NODE_PORT },
						  { "LoadBalancer", SERVICE_LOAD_BALANCER },
						  { "ExternalName", SERVICE_EXTERNAL_NAME },
						  { NULL, 0 } };
static const struct enum_text traffic[] = { { "Cluster", SERVICE_TRAFFIC_CLUSTER },
					    { "Local", SERVICE_TRAFFIC_LOCAL },
					    { NULL, 0 } };
static const struct enum_text affinities[] = { { "None", false },
					       { "ClientIP", true },
					       { NULL, 0 } };

static const struct field client_ip_fields[] = { FIELD("timeoutSeconds", struct service,
						       affinity_timeout_s, read_int, .min = 1,
						       .max = 86400, .flags = FIELD_DROP),
						 FIELD_END };
static const struct shape client_ip_shape = { .fields = client_ip_fields, .open = true };
static const struct field affinity_config_fields[] = { FIELD_SAME("clientIP", &client_ip_shape),
						       FIELD_END };
static const struct shape affinity_config_shape = { .fields = affinity_config_fields,
						    .open = true };

static const struct field service_spec_fields[] = {
	FIELD("type", struct service, type, read_enum, .enums = service_types),
	{ .name = "clusterIPs", .read = read_cluster_ips },
	FIELD_LIST("externalIPs", struct service, external_ip_count, external_ips, &addr_field,
		   .max = ADDRS_MAX),
	FIELD_LIST("loadBalancerSourceRanges", struct service, source_range_count, source_ranges,
		   &range_field, .max = 1000),
	FIELD_LIST("ports", struct service, port_count, ports, &port_field, .max = 1000),
	FIELD("externalTrafficPolicy", struct service, external_traffic, read_enum,
	      .enums = traffic),
	FIELD("internalTrafficPolicy", struct service, internal_traffic, read_enum,
	      .enums = traffic),
	FIELD("sessionAffinity", struct service, client_ip_affinity, read_enum,
	      .enums = affinities),
	FIELD_SAME("sessionAffinityConfig", &affinity_config_shape),
	FIELD("healthCheckNodePort", struct service, health_check_node_port, read_int,
	      .max = 65535),
	FIELD_END
};
static const struct shape service_spec_shape = { .fields = service_spec_fields, .open = true };

static const struct field ingress_ip_fields[] = {
	{ .name = "ip", .read = read_addr, .flags = FIELD_REQUIRED }, FIELD_END
};
static const struct shape ingress_ip_shape = { .fields = ingress_ip_fields, .open = true };
static const struct field ingress_ip_field = { .read = read_object,
					       .shape = &ingress_ip_shape,
					       .flags = FIELD_DROP };
static const struct field balancer_fields[] = { FIELD_LIST("ingress", struct service,
							   ingress_ip_count, ingress_ips,
							   &ingress_ip_field, .max = ADDRS_MAX),
						FIELD_END };
static const struct shape balancer_shape = { .fields = balancer_fields, .open = true };
static const struct field service_status_fields[] = { FIELD_SAME("loadBalancer", &balancer_shape),
						      FIELD_END };
static const struct shape service_status_shape = { .fields = service_status_fields, .open = true };
static const struct field service_fields[] = { FIELD_SAME("spec", &service_spec_shape),
					       FIELD_SAME("status", &service_status_shape),
					       FIELD_END };

/* clusterIP says the same as clusterIPs[0], except from old writers. */
static void check_service(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const json_t *ip = json_object_get(json_object_get(value, "spec"), "clusterIP");
	const struct path spec = { .up = path, .key = "spec" };
	const struct path ip_path = { .up = &spec, .key = "clusterIP" };
	struct service *service = at;
	json_t *list;

	if (service->cluster_ip_count || !json_string_length(ip))
		return;
	list = json_array();
	json_array_append(list, (json_t *)(uintptr_t)ip);
	read_cluster_ips(d, &ip_path, list, &addr_field, service);
	json_decref(list);
}

static const struct shape service_shape = { .fields = service_fields,
					    .open = true,
					    .check = check_service };

static void service_defaults(struct decode *d, void *object)
{
	(void)d;
	((struct service *)object)->affinity_timeout_s = 10800;
}

const struct decoder decoder_service = { .size = sizeof(struct service),
					 .shape = &service_shape,
					 .defaults = service_defaults };

/* --- EndpointSlice -------------------------------------------------------------------------- */

static const struct field slice_port_fields[] = {
	FIELD("name", struct slice_port, name, read_text),
	FIELD("protocol", struct slice_port, protocol, read_enum, .enums = transport_protocols),
	FIELD("port", struct slice_port, port, read_int, .max = 65535), FIELD_END
};

static void check_slice_port(struct decode *d, const struct path *path, const json_t *value,
			     void *at)
{
	struct slice_port *port = at;

	(void)d;
	(void)path;
	(void)value;
	if (!port->name)
		port->name = "";
	if (!port->protocol)
		port->protocol = IPPROTO_TCP;
}

static const struct shape slice_port_shape = { .fields = slice_port_fields,
					       .open = true,
					       .check = check_slice_port };
static const struct field slice_port_field = { .read = read_object,
					       .shape = &slice_port_shape,
					       .flags = FIELD_DROP };

static const struct field condition_fields[] = {
	FIELD("ready", struct slice_endpoint, ready, read_bool),
	FIELD("serving", struct slice_endpoint, serving, read_bool),
	FIELD("terminating", struct slice_endpoint, terminating, read_bool), FIELD_END
};
static const struct shape condition_shape = { .fields = condition_fields, .open = true };

/* Only a target of kind Pod is kept. */
static READER(read_target)
{
	const char *kind = json_string_value(json_object_get(value, "kind"));
	const char *name = json_string_value(json_object_get(value, "name"));
	struct slice_endpoint *endpoint = at;

	(void)path;
	(void)field;
	if (kind && name && !strcmp(kind, "Pod"))
		endpoint->pod = arena_strdup(d->arena, name);
}

static const struct field endpoint_fields[] = {
	FIELD_LIST("addresses", struct slice_endpoint, addr_count, addrs, &addr_field, .max = 100),
	FIELD_SAME("conditions", &condition_shape),
	FIELD("nodeName", struct slice_endpoint, node, read_text),
	FIELD("zone", struct slice_endpoint, zone, read_text),
	{ .name = "targetRef", .read = read_target },
	FIELD_END
};
static const struct shape endpoint_shape = { .fields = endpoint_fields, .open = true };

/* Missing conditions: ready and serving unless said otherwise (serving follows ready). */
static READER(read_endpoint)
{
	const json_t *conditions = json_object_get(value, "conditions");
	struct slice_endpoint *endpoint = at;

	(void)field;
	*endpoint = (struct slice_endpoint){ .ready = true, .node = "", .zone = "", .pod = "" };
	read_shape(d, path, value, &endpoint_shape, endpoint);
	if (!json_is_boolean(json_object_get(conditions, "serving")))
		endpoint->serving = endpoint->ready;
}

static const struct field endpoint_field = { .read = read_endpoint, .flags = FIELD_DROP };

static const struct enum_text families[] = {
	{ "IPv4", false }, { "IPv6", true }, { "FQDN", false }, { NULL, 0 }
};

static const struct field slice_fields[] = {
	FIELD("addressType", struct endpoint_slice, is6, read_enum, .flags = FIELD_REQUIRED,
	      .enums = families),
	FIELD_LIST("ports", struct endpoint_slice, port_count, ports, &slice_port_field,
		   .max = 1000),
	FIELD_LIST("endpoints", struct endpoint_slice, endpoint_count, endpoints, &endpoint_field,
		   .max = 1000),
	FIELD_END
};

static void check_slice(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const char *type = json_string_value(json_object_get(value, "addressType"));
	struct endpoint_slice *slice = at;
	const char *service = labels_get(&slice->base.labels, "kubernetes.io/service-name");

	(void)d;
	(void)path;
	slice->service = service ? service : "";
	if (type && !strcmp(type, "FQDN"))
		slice->endpoint_count = 0;
}

static const struct shape slice_shape = { .fields = slice_fields,
					  .open = true,
					  .check = check_slice };

const struct decoder decoder_endpoint_slice = { .size = sizeof(struct endpoint_slice),
						.shape = &slice_shape };
