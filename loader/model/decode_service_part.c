/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of a Service, and what several of its fields must agree on (core/v1 validation). */
#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_service.h"
#include "model/names.h"

#define PORTS_MAX 1000
#define KUBELET_PORT 10250

/* --- one port ------------------------------------------------------------------------------- */

static READER(read_target_port)
{
	const char *name = json_string_value(value);
	struct service_port *port = at;

	(void)field;
	if (!name) {
		if (int_in_range(d, path, value, 0, 65535))
			port->target_port = (uint16_t)json_integer_value(value);
	} else if (*name && !name_is_port(name)) {
		complain(d, path, "\"%.64s\" is not a port name (RFC 6335)", name);
	} else if (*name) {
		port->target_name = arena_strdup(d->arena, name);
	}
}

static const struct field port_fields[] = {
	FIELD("name", struct service_port, name, read_text, .is_valid = name_is_dns_label,
	      .what = "a DNS label (RFC 1123)"),
	FIELD("protocol", struct service_port, protocol, read_enum, .enums = transport_protocols),
	FIELD("port", struct service_port, port, read_int, .flags = FIELD_REQUIRED, .min = 1,
	      .max = 65535),
	FIELD("nodePort", struct service_port, node_port, read_int, .flags = FIELD_DROP_ALONE,
	      .max = 65535),
	FIELD("appProtocol", struct service_port, app_protocol, read_text,
	      .flags = FIELD_DROP_ALONE, .is_valid = name_is_label_key,
	      .what = "a protocol's name"),
	{ .name = "targetPort", .read = read_target_port },
	FIELD_END
};

static void port_defaults(void *at)
{
	*(struct service_port *)at =
		(struct service_port){ .name = "", .app_protocol = "", .protocol = IPPROTO_TCP };
}

static const struct shape port_shape = { .fields = port_fields,
					 .open = true,
					 .defaults = port_defaults };

/* --- one port beside the others ------------------------------------------------------------- */

struct ports {
	struct service *service;
	bool one; /* the list has one element: it needs no name */
};

static void check_name(struct decode *d, const struct path *path, const struct ports *ports,
		       const struct service_port *port)
{
	const struct path name = { .up = path, .key = "name" };

	if (!*port->name && !ports->one)
		complain(d, &name, "is missing: there is more than one port");
	for (size_t i = 0; *port->name && i < ports->service->port_count; i++)
		if (!strcmp(ports->service->ports[i].name, port->name))
			complain(d, &name, "\"%s\" is given twice", port->name);
}

static void check_number(struct decode *d, const struct path *path, const struct service *service,
			 const struct service_port *port)
{
	const struct path number = { .up = path, .key = "port" };

	if (service->type == SERVICE_LOAD_BALANCER && port->port == KUBELET_PORT)
		complain(d, &number, "%u is the kubelet's: not through a load balancer",
			 KUBELET_PORT);
	for (size_t i = 0; i < service->port_count; i++)
		if (service->ports[i].port == port->port &&
		    service->ports[i].protocol == port->protocol)
			complain(d, &number, "%s %u is given twice", transport_name(port->protocol),
				 port->port);
}

/* A bad node port takes the node port alone away. */
static void check_node_port(struct decode *d, const struct path *path,
			    const struct service *service, struct service_port *port)
{
	const struct path number = { .up = path, .key = "nodePort" };
	bool bad = false;

	if (!port->node_port)
		return;
	if (service->type != SERVICE_NODE_PORT && service->type != SERVICE_LOAD_BALANCER) {
		complain_drop(d, &number, "needs type NodePort or LoadBalancer");
		bad = true;
	}
	for (size_t i = 0; i < service->port_count; i++)
		if (service->ports[i].node_port == port->node_port &&
		    service->ports[i].protocol == port->protocol) {
			complain_drop(d, &number, "%s %u is given twice",
				      transport_name(port->protocol), port->node_port);
			bad = true;
		}
	if (bad)
		port->node_port = 0;
}

static READER(read_port)
{
	const struct ports *ports = at;
	struct service *service = ports->service;
	const size_t bad = d->bad;
	struct service_port port;

	(void)field;
	read_shape(d, path, value, &port_shape, &port);
	if (d->bad != bad)
		return;
	if (!port.target_name && !port.target_port)
		port.target_port = port.port;
	check_name(d, path, ports, &port);
	check_number(d, path, service, &port);
	if (d->bad != bad)
		return;
	check_node_port(d, path, service, &port);
	service->ports[service->port_count++] = port;
}

static const struct field port_field = { .read = read_port, .flags = FIELD_DROP };

READER(read_service_ports)
{
	struct ports ports = { .service = at, .one = json_array_size(value) == 1 };

	(void)field;
	ports.service->ports =
		arena_array(d->arena, json_array_size(value), sizeof(*ports.service->ports));
	read_rows(d, path, value, PORTS_MAX, &port_field, &ports);
}

/* --- fields that depend on others ----------------------------------------------------------- */

static void complain_member(struct decode *d, const struct path *spec, const char *key,
			    const char *text)
{
	const struct path path = { .up = spec, .key = key };

	complain_drop(d, &path, "%s", text);
}

void check_service_addrs(struct decode *d, const struct path *spec, struct service *service)
{
	if (service->headless && service->cluster_ip_count)
		complain_member(d, spec, "clusterIPs", "has an address beside None");
	else if (service->type == SERVICE_EXTERNAL_NAME &&
		 (service->headless || service->cluster_ip_count))
		complain_member(d, spec, "clusterIPs", "does not go with type ExternalName");
	if (service->headless || service->type == SERVICE_EXTERNAL_NAME)
		service->cluster_ip_count = 0;
}

static void check_external_name(struct decode *d, const struct path *spec,
				const struct service *service)
{
	if (service->type == SERVICE_EXTERNAL_NAME &&
	    !name_is_dns_subdomain(service->external_name))
		complain_member(d, spec, "externalName", "is not a DNS name (RFC 1123)");
}

static bool needs_ports(const struct service *service)
{
	return service->type != SERVICE_EXTERNAL_NAME && !service->headless;
}

/* type NodePort and LoadBalancer rest on a cluster address. */
static void check_headless(struct decode *d, const struct path *spec, const struct service *service)
{
	if (service->headless &&
	    (service->type == SERVICE_NODE_PORT || service->type == SERVICE_LOAD_BALANCER))
		complain_member(d, spec, "clusterIPs",
				"None does not go with type NodePort or LoadBalancer");
}

static bool is_reached_from_outside(const struct service *service)
{
	return service->type == SERVICE_NODE_PORT || service->type == SERVICE_LOAD_BALANCER ||
	       (service->type == SERVICE_CLUSTER_IP && service->external_ip_count);
}

static void check_outside(struct decode *d, const struct path *spec, const json_t *value,
			  struct service *service)
{
	if (json_string_length(json_object_get(value, "externalTrafficPolicy")) &&
	    !is_reached_from_outside(service)) {
		complain_member(d, spec, "externalTrafficPolicy",
				"needs type NodePort or LoadBalancer, or externalIPs");
		service->external_traffic = SERVICE_TRAFFIC_CLUSTER;
	}
	if (service->health_check_node_port &&
	    (service->type != SERVICE_LOAD_BALANCER ||
	     service->external_traffic != SERVICE_TRAFFIC_LOCAL)) {
		complain_member(d, spec, "healthCheckNodePort",
				"needs type LoadBalancer and externalTrafficPolicy Local");
		service->health_check_node_port = 0;
	}
}

static void check_balancer(struct decode *d, const struct path *spec, const json_t *value,
			   struct service *service)
{
	static const char *const only = "needs type LoadBalancer";

	if (service->type == SERVICE_LOAD_BALANCER)
		return;
	if (service->limits_sources)
		complain_member(d, spec, "loadBalancerSourceRanges", only);
	if (*service->load_balancer_class)
		complain_member(d, spec, "loadBalancerClass", only);
	if (json_is_boolean(json_object_get(value, "allocateLoadBalancerNodePorts")))
		complain_member(d, spec, "allocateLoadBalancerNodePorts", only);
	service->limits_sources = false;
	service->source_range_count = 0;
	service->load_balancer_class = "";
	service->allocate_node_ports = true;
}

void check_service_type(struct decode *d, const struct path *spec, const json_t *value,
			struct service *service)
{
	if (needs_ports(service) && !json_array_size(json_object_get(value, "ports")))
		complain_member(d, spec, "ports", "is missing");
	if (json_object_get(value, "sessionAffinityConfig") && !service->client_ip_affinity)
		complain_member(d, spec, "sessionAffinityConfig", "needs sessionAffinity ClientIP");
	check_external_name(d, spec, service);
	check_headless(d, spec, service);
	check_outside(d, spec, value, service);
	check_balancer(d, spec, value, service);
}
