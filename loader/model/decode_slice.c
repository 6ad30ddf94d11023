/* SPDX-License-Identifier: Apache-2.0 */
/* EndpointSlice (discovery.k8s.io/v1). Unknown fields are no news. */
#include "model/slice.h"

#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/utc.h"
#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/service.h"

/* Limits of the API. */
#define ENDPOINTS_MAX 1000
#define ADDRS_MAX 100
#define PORTS_MAX 20000
#define HINTS_MAX 8

bool endpoint_slice_is_proxied(const struct endpoint_slice *slice)
{
	return !labels_get(&slice->base.labels, LABEL_PROXY_NAME) &&
	       !labels_get(&slice->base.labels, LABEL_HEADLESS);
}

/* --- ports ---------------------------------------------------------------------------------- */

static const struct field port_fields[] = {
	FIELD("name", struct slice_port, name, read_text, .is_valid = name_is_dns_label,
	      .what = "a DNS label (RFC 1123)"),
	FIELD("protocol", struct slice_port, protocol, read_enum, .enums = transport_protocols),
	FIELD("port", struct slice_port, port, read_int, .min = 1, .max = 65535),
	FIELD("appProtocol", struct slice_port, app_protocol, read_text, .flags = FIELD_DROP_ALONE,
	      .is_valid = name_is_label_key, .what = "a protocol's name"),
	FIELD_END
};

static void port_defaults(void *at)
{
	*(struct slice_port *)at =
		(struct slice_port){ .name = "", .app_protocol = "", .protocol = IPPROTO_TCP };
}

static const struct shape port_shape = { .fields = port_fields,
					 .open = true,
					 .defaults = port_defaults };

/* Appends one port, unless an earlier one has its name. */
static READER(read_port)
{
	struct endpoint_slice *slice = at;
	const struct path name = { .up = path, .key = "name" };
	const size_t bad = d->bad;
	struct slice_port port;

	(void)field;
	read_shape(d, path, value, &port_shape, &port);
	for (size_t i = 0; d->bad == bad && i < slice->port_count; i++)
		if (!strcmp(slice->ports[i].name, port.name))
			complain(d, &name, "\"%s\" is given twice", port.name);
	if (d->bad == bad)
		slice->ports[slice->port_count++] = port;
}

static const struct field port_field = { .read = read_port, .flags = FIELD_DROP };

static READER(read_ports)
{
	struct endpoint_slice *slice = at;

	(void)field;
	slice->ports = arena_array(d->arena, json_array_size(value), sizeof(*slice->ports));
	read_rows(d, path, value, PORTS_MAX, &port_field, slice);
}

/* --- endpoints ------------------------------------------------------------------------------ */

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
	const char *uid = json_string_value(json_object_get(value, "uid"));
	struct slice_endpoint *endpoint = at;

	(void)path;
	(void)field;
	if (!kind || !name || strcmp(kind, "Pod"))
		return;
	endpoint->pod = arena_strdup(d->arena, name);
	if (uid)
		endpoint->pod_uid = arena_strdup(d->arena, uid);
}

static const struct field hint_name_fields[] = { { .name = "name",
						   .read = read_text,
						   .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY,
						   .size = sizeof(const char *) },
						 FIELD_END };
static const struct shape hint_name_shape = { .fields = hint_name_fields, .open = true };
static const struct field hint_field = { .read = read_object,
					 .shape = &hint_name_shape,
					 .flags = FIELD_DROP };
static const struct field hint_fields[] = {
	FIELD_LIST("forZones", struct slice_endpoint, zone_hint_count, zone_hints, &hint_field,
		   .max = HINTS_MAX),
	FIELD_LIST("forNodes", struct slice_endpoint, node_hint_count, node_hints, &hint_field,
		   .max = HINTS_MAX),
	FIELD_END
};
static const struct shape hint_shape = { .fields = hint_fields, .open = true };

static READER(read_endpoint_addr)
{
	const size_t bad = d->bad;

	read_addr(d, path, value, field, at);
	if (d->bad == bad && addr_is_special(at))
		complain(d, path, "%s is no endpoint's address", json_string_value(value));
}

static const struct field addr_field = { .read = read_endpoint_addr };

static const struct field endpoint_fields[] = {
	FIELD_LIST("addresses", struct slice_endpoint, addr_count, addrs, &addr_field,
		   .max = ADDRS_MAX, .flags = FIELD_REQUIRED),
	FIELD_SAME("conditions", &condition_shape),
	FIELD("hostname", struct slice_endpoint, hostname, read_text, .flags = FIELD_DROP_ALONE,
	      .is_valid = name_is_dns_label, .what = "a DNS label (RFC 1123)"),
	FIELD("nodeName", struct slice_endpoint, node, read_text, .is_valid = name_is_dns_subdomain,
	      .what = "a DNS name (RFC 1123)"),
	FIELD("zone", struct slice_endpoint, zone, read_text),
	FIELD_SAME("hints", &hint_shape, .flags = FIELD_DROP_ALONE),
	{ .name = "targetRef", .read = read_target },
	FIELD_END
};

static void endpoint_defaults(void *at)
{
	*(struct slice_endpoint *)at = (struct slice_endpoint){
		.ready = true, .node = "", .zone = "", .hostname = "", .pod = "", .pod_uid = ""
	};
}

static const struct shape endpoint_shape = { .fields = endpoint_fields,
					     .open = true,
					     .defaults = endpoint_defaults };

static void check_family(struct decode *d, const struct path *path,
			 const struct endpoint_slice *slice, const struct slice_endpoint *endpoint)
{
	const struct path addrs = { .up = path, .key = "addresses" };

	for (size_t i = 0; i < endpoint->addr_count; i++) {
		const struct path place = { .up = &addrs, .index = i };
		char text[ADDR_TEXT_MAX];

		if (addr_is4(&endpoint->addrs[i]) == slice->is6)
			complain(d, &place, "%s is not of addressType %s",
				 addr_format(&endpoint->addrs[i], text),
				 slice->is6 ? "IPv6" : "IPv4");
	}
	if (!endpoint->addr_count)
		complain(d, &addrs, "is empty");
}

/* Appends one endpoint. Missing conditions: ready unless said otherwise; serving follows. */
static READER(read_endpoint)
{
	const json_t *conditions = json_object_get(value, "conditions");
	struct endpoint_slice *slice = at;
	const size_t bad = d->bad;
	struct slice_endpoint endpoint;

	(void)field;
	read_shape(d, path, value, &endpoint_shape, &endpoint);
	if (d->bad == bad)
		check_family(d, path, slice, &endpoint);
	if (d->bad != bad)
		return;
	if (!json_is_boolean(json_object_get(conditions, "serving")))
		endpoint.serving = endpoint.ready;
	slice->endpoints[slice->endpoint_count++] = endpoint;
}

static const struct field endpoint_field = { .read = read_endpoint, .flags = FIELD_DROP };

static READER(read_endpoints)
{
	struct endpoint_slice *slice = at;

	(void)field;
	if (slice->fqdn)
		return;
	slice->endpoints = arena_array(d->arena, json_array_size(value), sizeof(*slice->endpoints));
	read_rows(d, path, value, ENDPOINTS_MAX, &endpoint_field, slice);
}

/* --- the slice ------------------------------------------------------------------------------ */

enum address_type { TYPE_IPV4, TYPE_IPV6, TYPE_FQDN };

static const struct enum_text address_types[] = {
	{ "IPv4", TYPE_IPV4 }, { "IPv6", TYPE_IPV6 }, { "FQDN", TYPE_FQDN }, { NULL, 0 }
};
static const struct field type_field = { .read = read_enum,
					 .size = sizeof(uint8_t),
					 .enums = address_types };

static READER(read_address_type)
{
	struct endpoint_slice *slice = at;
	uint8_t type = TYPE_IPV4;

	(void)field;
	read_enum(d, path, value, &type_field, &type);
	slice->is6 = type == TYPE_IPV6;
	slice->fqdn = type == TYPE_FQDN;
}

/* addressType first: the others are read by it. */
static const struct field slice_fields[] = {
	{ .name = "addressType", .read = read_address_type, .flags = FIELD_REQUIRED },
	{ .name = "ports", .read = read_ports },
	{ .name = "endpoints", .read = read_endpoints },
	FIELD_END
};

static const char *label_or_empty(const struct object *object, const char *key)
{
	const char *value = labels_get(&object->labels, key);

	return value ? value : "";
}

static void check_slice(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct endpoint_slice *slice = at;

	(void)d;
	(void)path;
	(void)value;
	slice->service = label_or_empty(&slice->base, LABEL_SERVICE_NAME);
	slice->managed_by = label_or_empty(&slice->base, LABEL_SLICE_MANAGED_BY);
	slice->trigger_ms =
		utc_parse(labels_get(&slice->base.annotations, ANNOTATION_TRIGGER_TIME));
}

static const struct shape slice_shape = { .fields = slice_fields,
					  .open = true,
					  .check = check_slice };

const struct decoder decoder_endpoint_slice = { .size = sizeof(struct endpoint_slice),
						.shape = &slice_shape };
