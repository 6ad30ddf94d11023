/* SPDX-License-Identifier: Apache-2.0 */
/* FelixConfiguration (projectcalico.org/v3). Its table is made from felix.def; the other names
 * that Felix knows (felix_known.def) are read as "no effect". */
#include "model/felix.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"

static const struct enum_text felix_nat_exclusions[] = { { "IPPoolsOnly", FELIX_NAT_POOLS },
							 { "IPPoolsAndHostIPs",
							   FELIX_NAT_POOLS_AND_HOSTS },
							 { NULL, 0 } };
static const struct enum_text felix_spoofing[] = { { "Disabled", FELIX_SPOOFING_DISABLED },
						   { "Any", FELIX_SPOOFING_ANY },
						   { NULL, 0 } };
static const struct enum_text felix_attach_type[] = { { "TC", FELIX_ATTACH_TC },
						      { "TCX", FELIX_ATTACH_TCX },
						      { "Netkit", FELIX_ATTACH_NETKIT },
						      { NULL, 0 } };
static const struct enum_text felix_revoked_tcp[] = { { "Drop", FELIX_REVOKED_DROP },
						      { "Reset", FELIX_REVOKED_RESET },
						      { NULL, 0 } };
static const struct enum_text felix_to_host[] = { { "Accept", FELIX_TO_HOST_ACCEPT },
						  { "Drop", FELIX_TO_HOST_DROP },
						  { "Return", FELIX_TO_HOST_RETURN },
						  { NULL, 0 } };
static const struct enum_text felix_connect_time[] = { { "TCP", FELIX_CONNECT_TCP },
						       { "Enabled", FELIX_CONNECT_ALL },
						       { "Disabled", FELIX_CONNECT_NONE },
						       { NULL, 0 } };
static const struct enum_text felix_switch[] = { { "Enabled", FELIX_ENABLED },
						 { "Disabled", FELIX_DISABLED },
						 { NULL, 0 } };
static const struct enum_text felix_scaling[] = { { "Disabled", FELIX_SCALING_DISABLED },
						  { "DoubleIfFull", FELIX_DOUBLE_IF_FULL },
						  { NULL, 0 } };
static const struct enum_text felix_client_auth[] = {
	{ "NoClientCert", FELIX_NO_CLIENT_CERT },
	{ "RequireAnyClientCert", FELIX_REQUIRE_ANY_CERT },
	{ "VerifyClientCertIfGiven", FELIX_VERIFY_CERT_IF_GIVEN },
	{ "RequireAndVerifyClientCert", FELIX_REQUIRE_AND_VERIFY_CERT },
	{ NULL, 0 }
};
static const struct enum_text felix_severity[] = { { "Trace", LOG_LEVEL_DEBUG },
						   { "Debug", LOG_LEVEL_DEBUG },
						   { "Info", LOG_LEVEL_INFO },
						   { "Warning", LOG_LEVEL_WARNING },
						   { "Error", LOG_LEVEL_ERROR },
						   { "Fatal", LOG_LEVEL_FATAL },
						   { NULL, 0 } };

/* --- shapes of their own -------------------------------------------------------------------- */

static READER(read_nat_address)
{
	if (json_is_string(value) && !json_string_length(value))
		memset(at, 0, sizeof(union mg_addr));
	else
		read_addr(d, path, value, field, at);
}

/* A port, 0 for no restriction, or "first:last". */
static READER(read_nat_ports)
{
	const char *text = json_string_value(value);
	struct felix_port_range *range = at;
	unsigned int first, last;
	char rest;

	(void)field;
	if (!text) {
		if (int_in_range(d, path, value, 0, 65535))
			range->first = range->last = (uint16_t)json_integer_value(value);
		return;
	}
	switch (sscanf(text, "%5u:%5u%c", &first, &last, &rest)) {
	case 1:
		last = first;
		break;
	case 2:
		break;
	default:
		first = 1;
		last = 0;
	}
	if (first > last || last > 65535 || (!first && last) ||
	    strspn(text, "0123456789:") != strlen(text)) {
		complain(d, path, "\"%.64s\" is not a port or a range such as 20000:29999", text);
		return;
	}
	*range = (struct felix_port_range){ .first = (uint16_t)first, .last = (uint16_t)last };
}

/* "10/second" */
static READER(read_rate)
{
	static const struct {
		const char *name;
		uint32_t seconds;
	} units[] = { { "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 } };
	const char *text = json_string_value(value);
	const char *slash = text ? strchr(text, '/') : NULL;
	struct felix_rate *rate = at;
	size_t digits = text ? strspn(text, "0123456789") : 0;

	(void)field;
	for (size_t i = 0; slash && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(slash + 1, units[i].name) || text + digits != slash || digits < 1 ||
		    digits > 4 || text[0] == '0')
			continue;
		rate->count = (uint32_t)strtoul(text, NULL, 10);
		rate->seconds = units[i].seconds;
		return;
	}
	complain(d, path, "\"%.64s\" is not a rate such as 10/second (minute, hour, day)",
		 text ? text : "");
}

/* A regular expression, of POSIX' extended kind as the agent compiles it. */
static READER(read_pattern)
{
	const char *text = json_string_value(value);
	regex_t compiled;
	char why[128];
	int r;

	if (!text) {
		complain_type(d, path, value, "a string");
		return;
	}
	r = regcomp(&compiled, text, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &compiled, why, sizeof(why));
		complain(d, path, "\"%.64s\" is no regular expression: %s", text, why);
		return;
	}
	regfree(&compiled);
	read_text(d, path, value, field, at);
}

static const struct field failsafe_fields[] = {
	FIELD("protocol", struct felix_failsafe, protocol, read_enum,
	      .flags = FIELD_REQUIRED | FIELD_ANY_CASE, .enums = transport_protocols),
	FIELD("port", struct felix_failsafe, port, read_int, .flags = FIELD_REQUIRED, .max = 65535),
	FIELD("net", struct felix_failsafe, net, read_prefix, .flags = FIELD_HOST_OK), FIELD_END
};
static const struct shape failsafe_shape = { .fields = failsafe_fields };

/* An empty list: there are none. A list with a mistake: the defaults, which lock nobody out. */
static READER(read_failsafes)
{
	struct felix_failsafes *failsafes = at;
	struct felix_failsafe *list;
	const size_t bad = d->bad;
	const json_t *one;
	size_t i;

	(void)field;
	if (!json_is_array(value)) {
		complain_type(d, path, value, "a list");
		return;
	}
	if (json_array_size(value) > FELIX_FAILSAFES_MAX) {
		complain(d, path, "has more than %d entries", FELIX_FAILSAFES_MAX);
		return;
	}
	list = arena_array(d->arena, json_array_size(value), sizeof(*list));
	json_array_foreach((json_t *)(uintptr_t)value, i, one) {
		const struct path place = { .up = path, .index = i };

		read_shape(d, &place, one, &failsafe_shape, &list[i]);
	}
	if (d->bad == bad)
		*failsafes = (struct felix_failsafes){ json_array_size(value), list };
}

static void read_net_list(struct decode *d, const struct path *path, const json_t *value,
			  struct felix_nets *nets)
{
	static const struct field net = { .flags = FIELD_HOST_OK };
	struct mg_prefix *list = arena_array(d->arena, json_array_size(value), sizeof(*list));
	const size_t bad = d->bad;
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)value, i, one) {
		const struct path place = { .up = path, .index = i };

		read_prefix(d, &place, one, &net, &list[i]);
	}
	if (d->bad == bad)
		*nets = (struct felix_nets){ .count = json_array_size(value), .v = list };
}

/* A list of nets, or the one word "primary". A list with a mistake: the default, all addresses. */
static READER(read_nets)
{
	const char *first = json_string_value(json_array_get(value, 0));
	struct felix_nets *nets = at;

	(void)field;
	if (!json_is_array(value))
		complain_type(d, path, value, "a list");
	else if (json_array_size(value) > FELIX_NETS_MAX)
		complain(d, path, "has more than %d entries", FELIX_NETS_MAX);
	else if (json_array_size(value) == 1 && first && !strcmp(first, "primary"))
		*nets = (struct felix_nets){ .primary = true };
	else
		read_net_list(d, path, value, nets);
}

static READER(read_timeout)
{
	const char *text = json_string_value(value);

	if (text && !strcmp(text, "Auto"))
		*(uint32_t *)at = 0;
	else
		read_duration(d, path, value, field, at);
}

#define TIMEOUT(name, member)                                                                      \
	FIELD(name, struct felix_timeouts, member, read_timeout, .json = FIELD_JSON_TEXT,          \
	      .min = 1, .max = 30LL * 86400 * 1000)

static const struct field timeout_fields[] = { TIMEOUT("creationGracePeriod", creation_grace),
					       TIMEOUT("tcpSynSent", tcp_syn_sent),
					       TIMEOUT("tcpEstablished", tcp_established),
					       TIMEOUT("tcpFinsSeen", tcp_fins_seen),
					       TIMEOUT("tcpResetSeen", tcp_reset_seen),
					       TIMEOUT("udpTimeout", udp),
					       TIMEOUT("genericTimeout", generic),
					       TIMEOUT("icmpTimeout", icmp),
					       FIELD_END };
static const struct shape timeout_shape = { .fields = timeout_fields };

/* What is not given of the eight has its default. */
static READER(read_timeouts)
{
	const struct felix_timeouts defaults = FELIX_TIMEOUTS_DEFAULT;
	struct felix_timeouts timeouts = defaults;
	const size_t bad = d->bad;

	(void)field;
	read_shape(d, path, value, &timeout_shape, &timeouts);
	if (d->bad == bad)
		*(struct felix_timeouts *)at = timeouts;
}

#define OWN_pattern .json = FIELD_JSON_TEXT
#define OWN_rate .json = FIELD_JSON_TEXT
#define OWN_nat_address .json = FIELD_JSON_TEXT
#define OWN_nat_ports .json = FIELD_JSON_EITHER
/* a list of objects: the reader says what is wrong with it */
#define OWN_failsafes .json = FIELD_JSON_ANY
#define OWN_nets .json = FIELD_JSON_ANY
#define OWN_timeouts .json = FIELD_JSON_OBJECT, .shape = &timeout_shape

/* --- the table ------------------------------------------------------------------------------ */

#define PARAM(member, name, reader, ...)                                                           \
	FIELD(name, struct felix_config, params.member, reader,                                    \
	      .flags = FIELD_DROP | FIELD_ANY_CASE, .has = FELIX_HAS_##member + 1,                 \
	      .has_offset = offsetof(struct felix_config, params.has), ##__VA_ARGS__),

static const struct field spec_fields[] = {
#define FELIX_BOOL(member, name, value) PARAM(member, name, read_bool)
#define FELIX_INT(member, name, lowest, highest, value)                                            \
	PARAM(member, name, read_int, .min = lowest, .max = highest)
#define FELIX_TEXT(member, name, value) PARAM(member, name, read_text)
#define FELIX_ENUM(member, name, table, value)                                                     \
	PARAM(member, name, read_enum, .enums = felix_##table)
#define FELIX_OWN(member, type, name, decoder, ...)                                                \
	PARAM(member, name, read_##decoder, OWN_##decoder)
#include "model/felix.def"
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN
	FIELD_END
};

static const char *const known[] = {
#define FELIX_KNOWN(name) name,
#include "model/felix_known.def"
#undef FELIX_KNOWN
};

static bool has_effect(const char *name)
{
	for (const struct field *field = spec_fields; field->name; field++)
		if (!strcmp(field->name, name))
			return true;
	return false;
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(known[i], name))
			return true;
	return false;
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect_idle(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct felix_config *config = at;
	const char *key;
	json_t *member;

	config->idle = arena_array(d->arena, json_object_size(value), sizeof(*config->idle));
	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		const struct path place = { .up = path, .key = key };

		if (has_effect(key))
			continue;
		config->idle[config->idle_count++] = arena_strdup(d->arena, key);
		if (is_known(key))
			warn_of(d, &place, "has no effect here");
		else
			warn_unknown(d, &place);
	}
	if (config->idle_count)
		qsort(config->idle, config->idle_count, sizeof(*config->idle), cmp_text);
}

static void check_name(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	const struct object *object = at;

	(void)value;
	if (strcmp(object->name, "default") && strncmp(object->name, "node.", 5))
		complain(d, &name, "\"%.64s\" is neither default nor node.NAME", object->name);
}

static void felix_defaults(struct decode *d, void *object)
{
	(void)d;
	felix_merge(&((struct felix_config *)object)->params, NULL, NULL);
}

static const struct shape spec_shape = { .fields = spec_fields,
					 .open = true,
					 .check = collect_idle };
static const struct field felix_fields[] = { FIELD_SAME("spec", &spec_shape), FIELD_END };
static const struct shape felix_shape = { .fields = felix_fields, .check = check_name };

const struct decoder decoder_felix_config = { .size = sizeof(struct felix_config),
					      .shape = &felix_shape,
					      .defaults = felix_defaults };
