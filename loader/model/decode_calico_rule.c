/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of Calico's policies, with the checks of its validator (projectcalico.org/v3 Rule, its
 * CRD's rules). What becomes of a bad rule in the store says design section 7: an allow rule is
 * left out, a deny or pass rule denies its whole direction.
 */
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/inet.h"
#include "model/decode_calico.h"

#define HTTP_MAX 20
#define HTTP_PATH_MAX 1024

static const struct enum_text actions[] = { { "Allow", CALICO_ALLOW },
					    { "Deny", CALICO_DENY },
					    { "Log", CALICO_LOG },
					    { "Pass", CALICO_PASS },
					    { NULL, 0 } };

/* --- protocol and ICMP ---------------------------------------------------------------------- */

static const struct enum_text protocols[] = { { "TCP", IPPROTO_TCP },
					      { "UDP", IPPROTO_UDP },
					      { "ICMP", IPPROTO_ICMP },
					      { "ICMPv6", IPPROTO_ICMPV6 },
					      { "SCTP", IPPROTO_SCTP },
					      { "UDPLite", IPPROTO_UDPLITE },
					      { NULL, 0 } };

static READER(read_protocol)
{
	static const struct field name = { .read = read_enum,
					   .size = sizeof(int16_t),
					   .flags = FIELD_ANY_CASE,
					   .enums = protocols };

	(void)field;
	if (json_is_string(value))
		read_enum(d, path, value, &name, at);
	else if (int_in_range(d, path, value, 1, 255))
		*(int16_t *)at = (int16_t)json_integer_value(value);
}

static const struct field icmp_fields[] = {
	FIELD("type", struct calico_icmp, type, read_int, .max = 254),
	FIELD("code", struct calico_icmp, code, read_int, .max = 255), FIELD_END
};

static void check_icmp(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct calico_icmp *icmp = at;

	(void)value;
	if (icmp->code != CALICO_ANY && icmp->type == CALICO_ANY)
		complain(d, path, "code needs a type");
}

static const struct shape icmp_shape = { .fields = icmp_fields, .check = check_icmp };

/* --- http ----------------------------------------------------------------------------------- */

struct http_path {
	const char *exact;
	const char *prefix;
};

struct http {
	size_t method_count;
	const char **methods;
	size_t path_count;
	struct http_path *paths;
};

static bool is_method(const char *text)
{
	static const char *const methods[] = { "GET",	  "HEAD",    "POST",  "PUT",   "DELETE",
					       "CONNECT", "OPTIONS", "TRACE", "PATCH", "*" };

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(text, methods[i]))
			return true;
	return false;
}

static bool is_path(const char *text)
{
	return *text == '/' && !strpbrk(text, "? #");
}

static const struct field method_field = { .read = read_text,
					   .size = sizeof(const char *),
					   .flags = FIELD_NOT_EMPTY,
					   .is_valid = is_method,
					   .what = "an HTTP method or *" };

static const struct field http_path_fields[] = {
	FIELD("exact", struct http_path, exact, read_text, .flags = FIELD_NOT_EMPTY,
	      .max = HTTP_PATH_MAX, .is_valid = is_path,
	      .what = "a path that begins with / and has neither query nor fragment"),
	FIELD("prefix", struct http_path, prefix, read_text, .flags = FIELD_NOT_EMPTY,
	      .max = HTTP_PATH_MAX, .is_valid = is_path,
	      .what = "a path that begins with / and has neither query nor fragment"),
	FIELD_END
};

static void check_http_path(struct decode *d, const struct path *path, const json_t *value,
			    void *at)
{
	const struct http_path *one = at;

	(void)value;
	if (!one->exact == !one->prefix)
		complain(d, path, "needs either exact or prefix");
}

static const struct shape http_path_shape = { .fields = http_path_fields,
					      .check = check_http_path };
static const struct field http_path_field = { .read = read_object, .shape = &http_path_shape };

static const struct field http_fields[] = {
	FIELD_LIST("methods", struct http, method_count, methods, &method_field, .max = HTTP_MAX),
	FIELD_LIST("paths", struct http, path_count, paths, &http_path_field, .max = HTTP_MAX),
	FIELD_END
};

static void check_http(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path methods = { .up = path, .key = "methods" };
	const struct http *http = at;

	(void)value;
	for (size_t i = 1; i < http->method_count; i++)
		for (size_t k = 0; k < i; k++) {
			const struct path place = { .up = &methods, .index = i };

			if (!strcmp(http->methods[i], http->methods[k]))
				complain(d, &place, "is given twice");
		}
}

static const struct shape http_shape = { .fields = http_fields, .check = check_http };

static READER(read_http)
{
	struct http http = { 0 };

	(void)field;
	read_shape(d, path, value, &http_shape, &http);
	((struct calico_rule *)at)->inert = true;
}

/* --- what two fields say together ------------------------------------------------------------ */

static bool has_ports(int protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static bool all_named(const struct calico_port *port, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!port[i].name)
			return false;
	return true;
}

static void check_ports(struct decode *d, const struct path *path, int protocol,
			const struct calico_port *port, size_t count)
{
	if (protocol == CALICO_ANY && !all_named(port, count))
		complain(d, path, "numbers need a protocol: TCP, UDP or SCTP");
	else if (protocol != CALICO_ANY && count && !has_ports(protocol))
		complain(d, path, "need protocol TCP, UDP or SCTP");
}

static void check_end_ports(struct decode *d, const struct path *path, int protocol,
			    const struct calico_entity *entity)
{
	const struct path ports = { .up = path, .key = "ports" };
	const struct path not_ports = { .up = path, .key = "notPorts" };

	check_ports(d, &ports, protocol, entity->ports, entity->port_count);
	check_ports(d, &not_ports, protocol, entity->not_ports, entity->not_port_count);
}

static void check_protocol(struct decode *d, const struct path *path, const char *key, int protocol,
			   int version)
{
	const struct path place = { .up = path, .key = key };

	if (protocol == IPPROTO_ICMP && version == 6)
		complain(d, &place, "ICMP needs ipVersion 4");
	if (protocol == IPPROTO_ICMPV6 && version == 4)
		complain(d, &place, "ICMPv6 needs ipVersion 6");
}

/* The families that nets have, one bit each: 4 and 6. */
static unsigned int families(const struct mg_prefix *net, size_t count)
{
	unsigned int seen = 0;

	for (size_t i = 0; i < count; i++)
		seen |= prefix_is4(&net[i]) ? 4 : 2;
	return seen;
}

static void check_families(struct decode *d, const struct path *path,
			   const struct calico_rule *rule)
{
	const struct calico_entity *src = &rule->source, *dst = &rule->destination;
	unsigned int seen =
		families(src->nets, src->net_count) | families(src->not_nets, src->not_net_count) |
		families(dst->nets, dst->net_count) | families(dst->not_nets, dst->not_net_count);

	if (seen == (4 | 2))
		complain(d, path, "has nets of both IPv4 and IPv6");
	else if ((rule->ip_version == 4 && seen == 2) || (rule->ip_version == 6 && seen == 4))
		complain(d, path, "has nets of another family than ipVersion %u", rule->ip_version);
}

static void check_rule(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path source = { .up = path, .key = "source" };
	const struct path destination = { .up = path, .key = "destination" };
	const struct path icmp = { .up = path, .key = "icmp" };
	struct calico_rule *rule = at;

	rule->index = (unsigned int)path->index;
	check_end_ports(d, &source, rule->protocol, &rule->source);
	check_end_ports(d, &destination, rule->protocol, &rule->destination);
	check_protocol(d, path, "protocol", rule->protocol, rule->ip_version);
	check_protocol(d, path, "notProtocol", rule->not_protocol, rule->ip_version);
	check_families(d, path, rule);
	if (json_is_object(json_object_get(value, "icmp")) && rule->protocol != IPPROTO_ICMP &&
	    rule->protocol != IPPROTO_ICMPV6)
		complain(d, &icmp, "needs protocol ICMP or ICMPv6");
}

/* --- what matches nothing yet ---------------------------------------------------------------- */

static void check_http_use(struct decode *d, const struct path *path, const json_t *value,
			   const struct calico_rule *rule)
{
	const struct path http = { .up = path, .key = "http" };

	if (!json_is_object(json_object_get(value, "http")))
		return;
	if (rule->action != CALICO_ALLOW)
		complain(d, &http, "only an Allow rule can have it");
	else if (rule->protocol != CALICO_ANY && rule->protocol != IPPROTO_TCP)
		complain(d, &http, "needs protocol TCP");
	else
		warn_of(d, &http, "has no effect yet: the rule matches nothing");
}

static void check_domains(struct decode *d, const struct path *path, struct calico_rule *rule,
			  bool egress)
{
	const struct path source = { .up = path, .key = "source" };
	const struct path destination = { .up = path, .key = "destination" };
	const struct path of_source = { .up = &source, .key = "domains" };
	const struct path of_destination = { .up = &destination, .key = "domains" };

	if (rule->source.domain_count)
		complain(d, &of_source, "only the destination of an egress rule can have them");
	if (rule->destination.domain_count && (rule->action != CALICO_ALLOW || !egress))
		complain(d, &of_destination, "only an egress rule that allows can have them");
	else if (rule->destination.domain_count)
		warn_of(d, &of_destination, "have no effect yet: the rule matches nothing");
}

/* A policy outside namespaces has none that a service could be in by default. */
static void check_service(struct decode *d, const struct path *path, const char *end,
			  const struct calico_service *service)
{
	const struct path of_end = { .up = path, .key = end };
	const struct path services = { .up = &of_end, .key = "services" };

	if (service->name && !service->ns && !kind_info(d->kind)->namespaced)
		complain(d, &services, "needs a namespace, as the policy has none");
}

static void check_ingress(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path destination = { .up = path, .key = "destination" };
	const struct path services = { .up = &destination, .key = "services" };
	struct calico_rule *rule = at;

	check_rule(d, path, value, rule);
	check_http_use(d, path, value, rule);
	check_domains(d, path, rule, false);
	check_service(d, path, "source", &rule->source.service);
	if (rule->destination.service.name)
		complain(d, &services, "only the source of an ingress rule can have it");
}

static void check_egress(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path source = { .up = path, .key = "source" };
	const struct path destination = { .up = path, .key = "destination" };
	const struct path of_source = { .up = &source, .key = "services" };
	const struct path of_destination = { .up = &destination, .key = "services" };
	const struct path http = { .up = path, .key = "http" };
	struct calico_rule *rule = at;

	check_rule(d, path, value, rule);
	check_domains(d, path, rule, true);
	check_service(d, path, "destination", &rule->destination.service);
	if (json_is_object(json_object_get(value, "http")))
		complain(d, &http, "only an ingress rule can have it");
	if (rule->source.service.name)
		complain(d, &of_source, "only the destination of an egress rule can have it");
	if (rule->destination.service.name &&
	    (rule->destination.port_count || rule->destination.not_port_count))
		complain(d, &of_destination, "cannot stand beside ports and notPorts");
}

/* --- the rule -------------------------------------------------------------------------------- */

static const struct field metadata_fields[] = {
	FIELD("annotations", struct calico_rule, annotations, read_texts), FIELD_END
};
static const struct shape metadata_shape = { .fields = metadata_fields };

static READER(read_version)
{
	(void)field;
	if (json_is_integer(value) &&
	    (json_integer_value(value) == 4 || json_integer_value(value) == 6))
		*(uint8_t *)at = (uint8_t)json_integer_value(value);
	else
		complain(d, path, "is neither 4 nor 6");
}

static const struct field rule_fields[] = {
	FIELD("action", struct calico_rule, action, read_enum,
	      .flags = FIELD_REQUIRED | FIELD_ANY_CASE, .enums = actions),
	FIELD("ipVersion", struct calico_rule, ip_version, read_version, .json = FIELD_JSON_INT),
	FIELD("protocol", struct calico_rule, protocol, read_protocol, .json = FIELD_JSON_EITHER),
	FIELD("notProtocol", struct calico_rule, not_protocol, read_protocol,
	      .json = FIELD_JSON_EITHER),
	FIELD("icmp", struct calico_rule, icmp, read_object, .shape = &icmp_shape),
	FIELD("notICMP", struct calico_rule, not_icmp, read_object, .shape = &icmp_shape),
	FIELD("source", struct calico_rule, source, read_object, .shape = &calico_entity_shape),
	FIELD("destination", struct calico_rule, destination, read_object,
	      .shape = &calico_entity_shape),
	{ .name = "http", .read = read_http, .json = FIELD_JSON_OBJECT, .shape = &http_shape },
	FIELD_SAME("metadata", &metadata_shape),
	FIELD_END
};

static const struct calico_icmp any_icmp = { CALICO_ANY, CALICO_ANY };

static void rule_defaults(void *at)
{
	*(struct calico_rule *)at = (struct calico_rule){ .protocol = CALICO_ANY,
							  .not_protocol = CALICO_ANY,
							  .icmp = any_icmp,
							  .not_icmp = any_icmp };
}

/* A rule that was meant to close must not open: it closes its whole direction. One whose action
 * cannot be read may have been such a rule. */
static bool salvage_rule(const struct path *path, const json_t *value, void *at)
{
	const char *action = json_string_value(json_object_get(value, "action"));
	struct calico_rule *rule = at;

	if (action && (!strcasecmp(action, "Allow") || !strcasecmp(action, "Log")))
		return false;
	rule_defaults(rule);
	rule->action = CALICO_DENY;
	rule->index = (unsigned int)path->index;
	return true;
}

static const struct shape ingress_shape = { .fields = rule_fields,
					    .defaults = rule_defaults,
					    .check = check_ingress,
					    .salvage = salvage_rule };
static const struct shape egress_shape = { .fields = rule_fields,
					   .defaults = rule_defaults,
					   .check = check_egress,
					   .salvage = salvage_rule };

const struct field calico_ingress_field = { .read = read_object,
					    .shape = &ingress_shape,
					    .flags = FIELD_DROP | FIELD_EXACT };
const struct field calico_egress_field = { .read = read_object,
					   .shape = &egress_shape,
					   .flags = FIELD_DROP | FIELD_EXACT };
