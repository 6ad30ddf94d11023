/* SPDX-License-Identifier: Apache-2.0 */
/* Service (core/v1). Unknown fields are no news. */
#include "model/service.h"

#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"
#include "model/decode_service.h"
#include "model/names.h"

#define ADDRS_MAX 64
#define FAMILIES_MAX 2
#define AFFINITY_TIMEOUT_S 10800

bool service_is_proxied(const struct service *service)
{
	return service->type != SERVICE_EXTERNAL_NAME && !service->headless &&
	       !labels_get(&service->base.labels, LABEL_PROXY_NAME) &&
	       !labels_get(&service->base.labels, LABEL_HEADLESS);
}

/* --- families and cluster addresses --------------------------------------------------------- */

static const struct enum_text families[] = { { "IPv4", false }, { "IPv6", true }, { NULL, 0 } };
static const struct field family_value = { .read = read_enum,
					   .size = sizeof(bool),
					   .enums = families };

static READER(read_family)
{
	struct service *service = at;
	const size_t bad = d->bad;
	bool is6 = false;

	(void)field;
	read_enum(d, path, value, &family_value, &is6);
	if (d->bad == bad && service->family_count && service->is6[0] == is6)
		complain(d, path, "is given twice");
	if (d->bad == bad)
		service->is6[service->family_count++] = is6;
}

static const struct field family_field = { .read = read_family, .flags = FIELD_DROP };

static READER(read_families)
{
	struct service *service = at;

	(void)field;
	service->is6 = arena_array(d->arena, FAMILIES_MAX, sizeof(*service->is6));
	read_rows(d, path, value, FAMILIES_MAX, &family_field, service);
}

static bool has_cluster_ip(const struct service *service, const union mg_addr *addr)
{
	for (size_t i = 0; i < service->cluster_ip_count; i++)
		if (addr_is4(&service->cluster_ips[i]) == addr_is4(addr))
			return true;
	return false;
}

static bool is_of_families(const struct service *service, const union mg_addr *addr)
{
	for (size_t i = 0; i < service->family_count; i++)
		if (service->is6[i] != addr_is4(addr))
			return true;
	return !service->family_count;
}

static READER(read_cluster_ip)
{
	const char *text = json_string_value(value);
	struct service *service = at;
	const size_t bad = d->bad;
	union mg_addr addr = { 0 };

	if (text && (!*text || !strcmp(text, "None"))) {
		service->headless |= *text;
		return;
	}
	read_addr(d, path, value, field, &addr);
	if (d->bad != bad)
		return;
	if (!is_of_families(service, &addr))
		complain(d, path, "%s is of no family in ipFamilies", text);
	else if (has_cluster_ip(service, &addr))
		complain(d, path, "%s is the second of its family", text);
	else
		service->cluster_ips[service->cluster_ip_count++] = addr;
}

static const struct field cluster_ip_field = { .read = read_cluster_ip, .flags = FIELD_DROP };

static READER(read_cluster_ips)
{
	struct service *service = at;

	(void)field;
	service->cluster_ips = arena_array(d->arena, FAMILIES_MAX, sizeof(*service->cluster_ips));
	read_rows(d, path, value, FAMILIES_MAX, &cluster_ip_field, service);
}

/* --- addresses from outside ----------------------------------------------------------------- */

static void read_outer_addr(struct decode *d, const struct path *path, const json_t *value,
			    union mg_addr *addr)
{
	const size_t bad = d->bad;

	read_addr(d, path, value, NULL, addr);
	if (d->bad == bad && addr_is_special(addr))
		complain(d, path, "%s is no address for others", json_string_value(value));
}

static READER(read_external_ip)
{
	struct service *service = at;
	const size_t bad = d->bad;
	union mg_addr addr;

	(void)field;
	read_outer_addr(d, path, value, &addr);
	for (size_t i = 0; d->bad == bad && i < service->external_ip_count; i++)
		if (!addr_cmp(&service->external_ips[i], &addr))
			complain(d, path, "is given twice");
	if (d->bad == bad)
		service->external_ips[service->external_ip_count++] = addr;
}

static const struct field external_ip_field = { .read = read_external_ip, .flags = FIELD_DROP };

static READER(read_external_ips)
{
	struct service *service = at;

	(void)field;
	service->external_ips =
		arena_array(d->arena, json_array_size(value), sizeof(*service->external_ips));
	read_rows(d, path, value, ADDRS_MAX, &external_ip_field, service);
}

static READER(read_ingress_ip)
{
	struct service_ingress *ingress = at;

	(void)field;
	read_outer_addr(d, path, value, &ingress->addr);
}

static const struct enum_text ip_modes[] = { { "VIP", false }, { "Proxy", true }, { NULL, 0 } };
static const struct field ingress_fields[] = { { .name = "ip", .read = read_ingress_ip },
					       FIELD("ipMode", struct service_ingress, proxy,
						     read_enum, .enums = ip_modes),
					       FIELD_END };
static const struct shape ingress_shape = { .fields = ingress_fields, .open = true };

static READER(read_ingress)
{
	struct service_ingress ingress = { 0 };
	struct service *service = at;
	const size_t bad = d->bad;

	(void)field;
	read_shape(d, path, value, &ingress_shape, &ingress);
	if (d->bad != bad || !json_string_length(json_object_get(value, "ip")))
		return;
	for (size_t i = 0; i < service->ingress_count; i++)
		if (!addr_cmp(&service->ingress[i].addr, &ingress.addr))
			complain(d, path, "is given twice");
	if (d->bad == bad)
		service->ingress[service->ingress_count++] = ingress;
}

static const struct field ingress_field = { .read = read_ingress, .flags = FIELD_DROP };

static READER(read_ingresses)
{
	struct service *service = at;

	(void)field;
	service->ingress = arena_array(d->arena, json_array_size(value), sizeof(*service->ingress));
	read_rows(d, path, value, ADDRS_MAX, &ingress_field, service);
}

/* --- spec ----------------------------------------------------------------------------------- */

static const struct enum_text service_types[] = { { "ClusterIP", SERVICE_CLUSTER_IP },
						  { "NodePort", SERVICE_NODE_PORT },
						  { "LoadBalancer", SERVICE_LOAD_BALANCER },
						  { "ExternalName", SERVICE_EXTERNAL_NAME },
						  { NULL, 0 } };
static const struct enum_text family_policies[] = {
	{ "SingleStack", SERVICE_SINGLE_STACK },
	{ "PreferDualStack", SERVICE_PREFER_DUAL_STACK },
	{ "RequireDualStack", SERVICE_REQUIRE_DUAL_STACK },
	{ NULL, 0 }
};
static const struct enum_text traffic[] = { { "Cluster", SERVICE_TRAFFIC_CLUSTER },
					    { "Local", SERVICE_TRAFFIC_LOCAL },
					    { NULL, 0 } };
static const struct enum_text distributions[] = {
	{ "PreferClose", SERVICE_DISTRIBUTION_SAME_ZONE },
	{ "PreferSameZone", SERVICE_DISTRIBUTION_SAME_ZONE },
	{ "PreferSameNode", SERVICE_DISTRIBUTION_SAME_NODE },
	{ NULL, 0 }
};
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

static const struct field range_field = { .read = read_prefix,
					  .flags = FIELD_DROP | FIELD_HOST_OK };

/* type and ipFamilies come before what is judged by them. */
static const struct field spec_fields[] = {
	FIELD("type", struct service, type, read_enum, .enums = service_types),
	{ .name = "ipFamilies", .read = read_families },
	FIELD("ipFamilyPolicy", struct service, family_policy, read_enum, .flags = FIELD_DROP,
	      .enums = family_policies),
	{ .name = "clusterIPs", .read = read_cluster_ips },
	{ .name = "externalIPs", .read = read_external_ips },
	{ .name = "ports", .read = read_service_ports },
	FIELD("selector", struct service, selector, read_labels),
	FIELD_LIST("loadBalancerSourceRanges", struct service, source_range_count, source_ranges,
		   &range_field, .max = 1000),
	FIELD("loadBalancerClass", struct service, load_balancer_class, read_text,
	      .is_valid = name_is_label_key, .what = "a class name"),
	FIELD("loadBalancerIP", struct service, load_balancer_ip, read_addr, .flags = FIELD_DROP),
	FIELD("allocateLoadBalancerNodePorts", struct service, allocate_node_ports, read_bool,
	      .flags = FIELD_DROP),
	FIELD("externalTrafficPolicy", struct service, external_traffic, read_enum,
	      .flags = FIELD_DROP, .enums = traffic),
	FIELD("internalTrafficPolicy", struct service, internal_traffic, read_enum,
	      .flags = FIELD_DROP, .enums = traffic),
	FIELD("trafficDistribution", struct service, distribution, read_enum, .flags = FIELD_DROP,
	      .enums = distributions),
	FIELD("sessionAffinity", struct service, client_ip_affinity, read_enum, .flags = FIELD_DROP,
	      .enums = affinities),
	FIELD_SAME("sessionAffinityConfig", &affinity_config_shape, .flags = FIELD_DROP),
	FIELD("publishNotReadyAddresses", struct service, publish_not_ready, read_bool,
	      .flags = FIELD_DROP),
	FIELD("healthCheckNodePort", struct service, health_check_node_port, read_int,
	      .flags = FIELD_DROP, .max = 65535),
	FIELD("externalName", struct service, external_name, read_text, .flags = FIELD_DROP),
	FIELD_END
};

/* clusterIP says the same as clusterIPs[0], except from old writers and from people. */
static void take_cluster_ip(struct decode *d, const struct path *path, const json_t *spec,
			    struct service *service)
{
	const json_t *ip = json_object_get(spec, "clusterIP");
	const json_t *first = json_array_get(json_object_get(spec, "clusterIPs"), 0);
	const struct path ip_path = { .up = path, .key = "clusterIP" };

	if (!json_string_length(ip))
		return;
	if (!first) {
		service->cluster_ips = arena_alloc(d->arena, sizeof(*service->cluster_ips));
		read_field(d, &ip_path, ip, &cluster_ip_field, service);
	} else if (!json_equal((json_t *)(uintptr_t)ip, (json_t *)(uintptr_t)first)) {
		complain_drop(d, &ip_path, "is not clusterIPs[0]");
	}
}

static void check_spec(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct service *service = at;
	const json_t *ranges = json_object_get(value, "loadBalancerSourceRanges");

	service->limits_sources = json_array_size(ranges) > 0;
	take_cluster_ip(d, path, value, service);
	check_service_addrs(d, path, service);
	check_service_type(d, path, value, service);
}

static const struct shape spec_shape = { .fields = spec_fields, .open = true, .check = check_spec };

static const struct field balancer_fields[] = { { .name = "ingress", .read = read_ingresses },
						FIELD_END };
static const struct shape balancer_shape = { .fields = balancer_fields, .open = true };
static const struct field status_fields[] = { FIELD_SAME("loadBalancer", &balancer_shape),
					      FIELD_END };
static const struct shape status_shape = { .fields = status_fields, .open = true };
static const struct field service_fields[] = { FIELD_SAME("spec", &spec_shape),
					       FIELD_SAME("status", &status_shape), FIELD_END };

/* --- Calico's annotations ------------------------------------------------------------------- */

static const struct enum_text booleans[] = { { "false", false }, { "true", true }, { NULL, 0 } };
static const struct enum_text strategies[] = { { "", false }, { "maglev", true }, { NULL, 0 } };
static const struct enum_text cleanups[] = { { "", SERVICE_UDP_CLEANUP_GONE },
					     { "TerminatingImmediately",
					       SERVICE_UDP_CLEANUP_TERMINATING },
					     { NULL, 0 } };

static const struct field annotation_fields[] = {
	FIELD("projectcalico.org/natExcludeService", struct service, nat_exclude, read_enum,
	      .flags = FIELD_DROP, .enums = booleans),
	FIELD("lb.projectcalico.org/external-traffic-strategy", struct service, maglev, read_enum,
	      .flags = FIELD_DROP, .enums = strategies),
	FIELD("projectcalico.org/udpConntrackCleanup", struct service, udp_cleanup, read_enum,
	      .flags = FIELD_DROP, .enums = cleanups),
	FIELD_END
};
static const struct shape annotation_shape = { .fields = annotation_fields, .open = true };

/* What is stored and not served: told to whoever writes it. */
static void warn_later(struct decode *d, const struct path *path, const struct service *service)
{
	const struct path spec = { .up = path, .key = "spec" };
	const struct path type = { .up = &spec, .key = "type" };
	const struct path external = { .up = &spec, .key = "externalIPs" };

	if (d->mode != DECODE_STRICT)
		return;
	if (service->type == SERVICE_NODE_PORT || service->type == SERVICE_LOAD_BALANCER)
		warn_of(d, &type, "has no effect yet: cluster addresses alone are served");
	if (service->external_ip_count)
		warn_of(d, &external, "have no effect yet");
}

static void check_service(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const json_t *metadata = json_object_get(value, "metadata");
	const json_t *annotations = json_object_get(metadata, "annotations");
	const struct path metadata_path = { .up = path, .key = "metadata" };
	const struct path annotations_path = { .up = &metadata_path, .key = "annotations" };
	struct service *service = at;

	if (json_is_object(annotations))
		read_shape(d, &annotations_path, annotations, &annotation_shape, at);
	/* What a load balancer left behind. */
	if (service->type != SERVICE_LOAD_BALANCER)
		service->ingress_count = 0;
	warn_later(d, path, service);
}

static const struct shape service_shape = { .fields = service_fields,
					    .open = true,
					    .check = check_service };

static void service_defaults(struct decode *d, void *object)
{
	struct service *service = object;

	(void)d;
	service->affinity_timeout_s = AFFINITY_TIMEOUT_S;
	service->allocate_node_ports = true;
	service->load_balancer_class = "";
	service->external_name = "";
}

const struct decoder decoder_service = { .size = sizeof(struct service),
					 .shape = &service_shape,
					 .defaults = service_defaults };
