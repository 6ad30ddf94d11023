/* SPDX-License-Identifier: Apache-2.0 */
/* Namespace, ServiceAccount, Pod (core/v1). The structs hold a small part of what these
 * objects have, so unknown fields are no news. */
#include "model/pod.h"

#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"
#include "model/names.h"

#define POD_IPS_MAX 16

static const struct field no_fields[] = { FIELD_END };

/* The API server writes this label; a Namespace out of a file has it all the same. */
static void check_namespace(struct decode *d, const struct path *path, const json_t *value,
			    void *at)
{
	struct object *object = at;
	const struct path metadata = { .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	struct label *v;

	(void)path;
	(void)value;
	if (!name_is_dns_label(object->name))
		complain(d, &name, "\"%.64s\" is not a DNS label (RFC 1123)", object->name);
	if (labels_get(&object->labels, LABEL_METADATA_NAME))
		return;
	v = arena_array(d->arena, object->labels.count + 1, sizeof(*v));
	if (object->labels.count)
		memcpy(v, object->labels.v, object->labels.count * sizeof(*v));
	v[object->labels.count++] = (struct label){ LABEL_METADATA_NAME, object->name };
	object->labels.v = v;
	labels_sort(&object->labels);
}

static const struct shape namespace_shape = { .fields = no_fields,
					      .open = true,
					      .check = check_namespace };
static const struct shape service_account_shape = { .fields = no_fields, .open = true };

const struct decoder decoder_namespace = { .size = sizeof(struct namespace),
					   .shape = &namespace_shape };
const struct decoder decoder_service_account = { .size = sizeof(struct service_account),
						 .shape = &service_account_shape };

/* --- ports ---------------------------------------------------------------------------------- */

static const struct field port_fields[] = {
	FIELD("name", struct pod_port, name, read_text, .is_valid = name_is_port,
	      .what = "a port name (RFC 6335)"),
	FIELD("containerPort", struct pod_port, port, read_int, .flags = FIELD_REQUIRED, .min = 1,
	      .max = 65535),
	FIELD("protocol", struct pod_port, protocol, read_enum, .enums = transport_protocols),
	FIELD_END
};

static const struct shape port_shape = { .fields = port_fields, .open = true };
static const struct field port_field = { .read = read_object,
					 .shape = &port_shape,
					 .flags = FIELD_DROP };

static void add_port(struct decode *d, struct pod *pod, const struct pod_port *port)
{
	struct pod_port *v;

	if (!port->name || !*port->name)
		return;
	/* Few pods name more than two ports, and each pod's arena is short-lived until kept. */
	v = arena_array(d->arena, pod->port_count + 1, sizeof(*v));
	if (pod->port_count)
		memcpy(v, pod->ports, pod->port_count * sizeof(*v));
	v[pod->port_count++] = *port;
	pod->ports = v;
}

static void read_container_ports(struct decode *d, const struct path *path, const json_t *container,
				 struct pod *pod)
{
	const json_t *ports = json_object_get(container, "ports"), *item;
	const struct path ports_path = { .up = path, .key = "ports" };
	size_t index;

	json_array_foreach(ports, index, item) {
		const struct path place = { .up = &ports_path, .index = index };
		struct pod_port port = { .protocol = IPPROTO_TCP };

		if (pod->port_count == 1000)
			complain(d, &ports_path, "more than 1000 named ports");
		else if (read_field(d, &place, item, &port_field, &port))
			add_port(d, pod, &port);
	}
}

static READER(read_containers)
{
	const json_t *item;
	size_t index;

	(void)field;
	json_array_foreach(value, index, item) {
		const struct path place = { .up = path, .index = index };

		read_container_ports(d, &place, item, at);
	}
}

/* Of init containers only sidecars live as long as the pod. */
static READER(read_init_containers)
{
	const json_t *item;
	size_t index;

	(void)field;
	json_array_foreach(value, index, item) {
		const char *restart = json_string_value(json_object_get(item, "restartPolicy"));
		const struct path place = { .up = path, .index = index };

		if (restart && !strcmp(restart, "Always"))
			read_container_ports(d, &place, item, at);
	}
}

/* --- spec and status ------------------------------------------------------------------------ */

static const struct field pod_spec_fields[] = {
	FIELD("serviceAccountName", struct pod, service_account, read_text, .flags = FIELD_DROP,
	      .is_valid = name_is_dns_subdomain, .what = "a DNS name (RFC 1123)"),
	FIELD("nodeName", struct pod, node, read_text),
	FIELD("hostname", struct pod, hostname, read_text),
	FIELD("subdomain", struct pod, subdomain, read_text),
	FIELD("hostNetwork", struct pod, host_network, read_bool),
	{ .name = "containers", .read = read_containers },
	{ .name = "initContainers", .read = read_init_containers },
	FIELD_END
};

static const struct shape pod_spec_shape = { .fields = pod_spec_fields, .open = true };

static const struct enum_text phases[] = {
	{ "Pending", POD_PHASE_PENDING },     { "Running", POD_PHASE_RUNNING },
	{ "Succeeded", POD_PHASE_SUCCEEDED }, { "Failed", POD_PHASE_FAILED },
	{ "Unknown", POD_PHASE_UNKNOWN },     { NULL, 0 }
};

static const struct field ip_fields[] = {
	{ .name = "ip", .read = read_addr, .size = sizeof(union mg_addr), .flags = FIELD_REQUIRED },
	FIELD_END
};
static const struct shape ip_shape = { .fields = ip_fields, .open = true };
static const struct field ip_field = {
	.read = read_object, .size = sizeof(union mg_addr), .shape = &ip_shape, .flags = FIELD_DROP
};

static const struct field single_ip_field = { .read = read_addr, .size = sizeof(union mg_addr) };

/* podIP says again what podIPs says, except from old writers. */
static READER(read_single_ip)
{
	struct pod *pod = at;
	union mg_addr *addr;

	(void)field;
	if (pod->ip_count || !json_string_length(value))
		return;
	addr = arena_alloc(d->arena, sizeof(*addr));
	if (read_field(d, path, value, &single_ip_field, addr)) {
		pod->ips = addr;
		pod->ip_count = 1;
	}
}

static READER(read_conditions)
{
	struct pod *pod = at;
	const json_t *item;
	size_t index;

	(void)d;
	(void)path;
	(void)field;
	json_array_foreach(value, index, item) {
		const char *type = json_string_value(json_object_get(item, "type"));
		const char *status = json_string_value(json_object_get(item, "status"));

		if (!type || !status || strcmp(type, "Ready"))
			continue;
		pod->judged = true;
		pod->ready = !strcmp(status, "True");
	}
}

static const struct field pod_status_fields[] = {
	FIELD("phase", struct pod, phase, read_enum, .enums = phases, .flags = FIELD_DROP),
	FIELD_LIST("podIPs", struct pod, ip_count, ips, &ip_field, .max = POD_IPS_MAX,
		   .flags = FIELD_DROP),
	{ .name = "podIP", .read = read_single_ip, .flags = FIELD_DROP },
	{ .name = "conditions", .read = read_conditions },
	FIELD_END
};

static const struct shape pod_status_shape = { .fields = pod_status_fields, .open = true };

/* "10.0.0.1/32,fd00::1/128": what the plugin writes before the kubelet writes the status. */
static void take_annotation_ips(struct decode *d, struct pod *pod, const char *text)
{
	union mg_addr *v = arena_array(d->arena, POD_IPS_MAX, sizeof(*v));
	char one[PREFIX_TEXT_MAX];
	struct mg_prefix prefix;

	for (size_t length; *text && pod->ip_count < POD_IPS_MAX;
	     text += length + (text[length] == ',')) {
		length = strcspn(text, ",");
		snprintf(one, sizeof(one), "%.*s", (int)length, text);
		if (!prefix_parse(one, true, &prefix))
			v[pod->ip_count++] = prefix.addr;
	}
	pod->ips = v;
}

static void check_pod(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct pod *pod = at;
	const char *ips = labels_get(&pod->base.annotations, "cni.projectcalico.org/podIPs");

	(void)path;
	(void)value;
	if (!ips)
		ips = labels_get(&pod->base.annotations, "cni.projectcalico.org/podIP");
	if (!pod->ip_count && ips)
		take_annotation_ips(d, pod, ips);
	if (!*pod->service_account)
		pod->service_account = "default";
}

static void pod_defaults(struct decode *d, void *object)
{
	struct pod *pod = object;

	(void)d;
	pod->service_account = "";
	pod->node = "";
	pod->hostname = pod->subdomain = "";
}

static const struct field pod_fields[] = { FIELD_SAME("spec", &pod_spec_shape),
					   FIELD_SAME("status", &pod_status_shape), FIELD_END };
static const struct shape pod_shape = { .fields = pod_fields, .open = true, .check = check_pod };

const struct decoder decoder_pod = { .size = sizeof(struct pod),
				     .shape = &pod_shape,
				     .defaults = pod_defaults };
