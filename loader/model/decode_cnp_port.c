/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules of cluster-wide policies say of protocol and port, in both forms of the API.
 */
#include <netinet/in.h>

#include "base/arena.h"
#include "model/decode_cnp.h"
#include "model/names.h"

bool has_one_member(struct decode *d, const struct path *path, const json_t *value)
{
	if (json_object_size(value) == 1)
		return true;
	complain(d, path, "needs exactly one member");
	return false;
}

static READER(read_port_name)
{
	struct cluster_port *port = at;

	(void)field;
	if (!json_is_string(value) || !name_is_port(json_string_value(value)))
		complain(d, path, "is not a port name (RFC 6335)");
	else
		port->name = arena_strdup(d->arena, json_string_value(value));
}

static READER(read_one)
{
	struct cluster_port *port = at;

	(void)field;
	if (int_in_range(d, path, value, 1, 65535))
		port->first = port->last = (uint16_t)json_integer_value(value);
}

static void check_range(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct cluster_port *port = at;

	(void)value;
	if (port->first >= port->last)
		complain(d, path, "start %u must be less than end %u", port->first, port->last);
}

#define RANGE_FIELDS                                                                               \
	FIELD("start", struct cluster_port, first, read_int, .flags = FIELD_REQUIRED, .min = 1,    \
	      .max = 65535),                                                                       \
		FIELD("end", struct cluster_port, last, read_int, .flags = FIELD_REQUIRED,         \
		      .min = 1, .max = 65535)

/* --- v1alpha2 ------------------------------------------------------------------------------- */

static const struct field range_fields[] = { RANGE_FIELDS, FIELD_END };
static const struct shape range_shape = { .fields = range_fields, .check = check_range };

static void check_one(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	(void)at;
	has_one_member(d, path, value);
}

static void check_choice(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct cluster_port *port = at;

	if (has_one_member(d, path, value) && !port->protocol && !port->name)
		complain(d, path, "has no member that is known here");
}

static const struct field destination_fields[] = { { .name = "number", .read = read_one },
						   FIELD_SAME("range", &range_shape),
						   FIELD_END };
static const struct shape destination_shape = { .fields = destination_fields, .check = check_one };
static const struct field protocol_fields[] = { FIELD_SAME("destinationPort", &destination_shape),
						FIELD_END };
static const struct shape protocol_shape = { .fields = protocol_fields };

static void read_protocol(struct decode *d, const struct path *path, const json_t *value,
			  struct cluster_port *port, uint8_t protocol)
{
	port->protocol = protocol;
	port->first = 1;
	port->last = 65535;
	read_shape(d, path, value, &protocol_shape, port);
}

static READER(read_tcp)
{
	(void)field;
	read_protocol(d, path, value, at, IPPROTO_TCP);
}

static READER(read_udp)
{
	(void)field;
	read_protocol(d, path, value, at, IPPROTO_UDP);
}

static READER(read_sctp)
{
	(void)field;
	read_protocol(d, path, value, at, IPPROTO_SCTP);
}

static const struct field choice_fields[] = { { .name = "tcp", .read = read_tcp },
					      { .name = "udp", .read = read_udp },
					      { .name = "sctp", .read = read_sctp },
					      { .name = "destinationNamedPort",
						.read = read_port_name },
					      FIELD_END };
static const struct shape choice_shape = { .fields = choice_fields, .check = check_choice };

const struct field cluster_protocol_field = { .read = read_object, .shape = &choice_shape };

/* --- v1alpha1 ------------------------------------------------------------------------------- */

static void default_tcp(void *at)
{
	((struct cluster_port *)at)->protocol = IPPROTO_TCP;
}

#define PROTOCOL_FIELD                                                                             \
	FIELD("protocol", struct cluster_port, protocol, read_enum, .enums = transport_protocols)

static const struct field old_number_fields[] = {
	PROTOCOL_FIELD, { .name = "port", .read = read_one, .flags = FIELD_REQUIRED }, FIELD_END
};
static const struct shape old_number_shape = { .fields = old_number_fields,
					       .defaults = default_tcp };
static const struct field old_range_fields[] = { PROTOCOL_FIELD, RANGE_FIELDS, FIELD_END };
static const struct shape old_range_shape = { .fields = old_range_fields,
					      .defaults = default_tcp,
					      .check = check_range };
static const struct field old_fields[] = { FIELD_SAME("portNumber", &old_number_shape),
					   FIELD_SAME("portRange", &old_range_shape),
					   { .name = "namedPort", .read = read_port_name },
					   FIELD_END };
static const struct shape old_shape = { .fields = old_fields, .check = check_choice };

const struct field cluster_port_field = { .read = read_object, .shape = &old_shape };
