/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EntityRule: one end of a rule of Calico's policies, with the checks of its validator
 * (projectcalico.org/v3, its CRD's rules).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "model/decode_calico.h"
#include "model/names.h"

#define NETS_MAX 256
#define PORTS_MAX 50
#define PORT_NAME_MAX 128

/* --- selectors ------------------------------------------------------------------------------ */

#define GLOBAL "global("

READER(read_calico_selector)
{
	const char *text = json_string_value(value);

	if (text && !*text)
		return;
	if (text && strstr(text, GLOBAL))
		complain(d, path, "global() can only be used in a rule's namespaceSelector");
	else
		read_selector(d, path, value, field, at);
}

static READER(read_namespaces)
{
	const char *text = json_string_value(value);
	const struct selector *selector = NULL;

	if (text && !*text)
		return;
	read_selector(d, path, value, field, &selector);
	if (!selector)
		return;
	if (strstr(text, GLOBAL) && selector->op != SELECTOR_GLOBAL)
		complain(d, path, "global() must stand alone");
	else
		*(const struct selector **)at = selector;
}

/* --- ports ---------------------------------------------------------------------------------- */

static bool is_port_name(const char *text)
{
	size_t length = strlen(text);

	return length && length <= PORT_NAME_MAX &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       length;
}

/* "80", "80:90"; others are names. */
static bool parse_range(const char *text, unsigned long *ret_first, unsigned long *ret_last)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	*ret_first = *ret_last = strtoul(text, &end, 10);
	if (*end == ':' && isdigit((unsigned char)end[1]))
		*ret_last = strtoul(end + 1, &end, 10);
	return !*end;
}

static READER(read_port)
{
	const char *text = json_string_value(value);
	struct calico_port *port = at;
	unsigned long first, last;

	(void)field;
	if (!text) {
		if (int_in_range(d, path, value, 1, 65535))
			port->first = port->last = (uint16_t)json_integer_value(value);
		return;
	}
	if (!parse_range(text, &first, &last)) {
		if (is_port_name(text))
			port->name = arena_strdup(d->arena, text);
		else
			complain(d, path,
				 "\"%.64s\" is not a port, a range such as 80:90 or a name", text);
		return;
	}
	if (!first || last > 65535 || first > last) {
		complain(d, path, "\"%.64s\" is not in 1-65535, lower end first", text);
		return;
	}
	port->first = (uint16_t)first;
	port->last = (uint16_t)last;
}

/* --- nets ----------------------------------------------------------------------------------- */

/* A set: what is in it twice is a mistake. */
static void check_twice(struct decode *d, const struct path *path, const struct mg_prefix *net,
			size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const struct path place = { .up = path, .index = i };

		for (size_t k = 0; k < i; k++)
			if (!memcmp(&net[i], &net[k], sizeof(*net))) {
				complain(d, &place, "is given twice");
				break;
			}
	}
}

static void check_nets(struct decode *d, const struct path *path,
		       const struct calico_entity *entity)
{
	const struct path nets = { .up = path, .key = "nets" };
	const struct path not_nets = { .up = path, .key = "notNets" };

	check_twice(d, &nets, entity->nets, entity->net_count);
	check_twice(d, &not_nets, entity->not_nets, entity->not_net_count);
	for (size_t i = 0; i < entity->not_net_count; i++) {
		const struct path place = { .up = &not_nets, .index = i };
		const struct mg_prefix *net = &entity->not_nets[i];

		if (!net->len || net->len == MG_V4_PREFIX_BITS)
			complain(d, &place, "excludes every address: the rule would match nothing");
	}
}

/* --- service accounts, services -------------------------------------------------------------- */

static const struct field account_field = { .read = read_text,
					    .size = sizeof(const char *),
					    .flags = FIELD_NOT_EMPTY,
					    .is_valid = name_is_dns_subdomain,
					    .what = "a service account's name" };
static const struct field accounts_fields[] = {
	FIELD_LIST("names", struct calico_accounts, count, names, &account_field, .max = 1000),
	FIELD("selector", struct calico_accounts, selector, read_calico_selector,
	      .json = FIELD_JSON_TEXT),
	FIELD_END
};
static const struct shape accounts_shape = { .fields = accounts_fields };

static const struct field service_fields[] = {
	FIELD("name", struct calico_service, name, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY, .is_valid = name_is_dns_subdomain,
	      .what = "a service's name"),
	FIELD("namespace", struct calico_service, ns, read_text, .is_valid = name_is_dns_subdomain,
	      .what = "a namespace"),
	FIELD_END
};

static void check_service(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct calico_service *service = at;

	(void)d;
	(void)path;
	(void)value;
	if (service->ns && !*service->ns)
		service->ns = NULL;
}

static const struct shape service_shape = { .fields = service_fields, .check = check_service };

/* Beside services nothing else may say which addresses are meant. */
static void check_alone(struct decode *d, const struct path *path, const json_t *value,
			const struct calico_entity *entity)
{
	const struct path services = { .up = path, .key = "services" };
	const char *other = NULL;

	if (entity->selector || entity->not_selector)
		other = entity->selector ? "selector" : "notSelector";
	else if (entity->namespaces)
		other = "namespaceSelector";
	else if (entity->net_count || entity->not_net_count)
		other = entity->net_count ? "nets" : "notNets";
	else if (json_is_object(json_object_get(value, "serviceAccounts")))
		other = "serviceAccounts";
	if (other)
		complain(d, &services, "cannot stand beside %s", other);
}

/* --- the entity ------------------------------------------------------------------------------ */

static void check_entity(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct calico_entity *entity = at;

	check_nets(d, path, entity);
	if (entity->service.name)
		check_alone(d, path, value, entity);
}

static const struct field net_field = { .read = read_prefix, .flags = FIELD_HOST_OK };
static const struct field port_field = { .read = read_port, .json = FIELD_JSON_EITHER };
static const struct field domain_field = { .read = read_text,
					   .size = sizeof(const char *),
					   .flags = FIELD_NOT_EMPTY,
					   .is_valid = name_is_domain_pattern,
					   .what = "a domain name such as *.example.com" };

static const struct field entity_fields[] = {
	FIELD("selector", struct calico_entity, selector, read_calico_selector,
	      .json = FIELD_JSON_TEXT),
	FIELD("notSelector", struct calico_entity, not_selector, read_calico_selector,
	      .json = FIELD_JSON_TEXT),
	FIELD("namespaceSelector", struct calico_entity, namespaces, read_namespaces,
	      .json = FIELD_JSON_TEXT),
	FIELD_LIST("nets", struct calico_entity, net_count, nets, &net_field, .max = NETS_MAX),
	FIELD_LIST("notNets", struct calico_entity, not_net_count, not_nets, &net_field,
		   .max = NETS_MAX),
	FIELD_LIST("ports", struct calico_entity, port_count, ports, &port_field, .max = PORTS_MAX),
	FIELD_LIST("notPorts", struct calico_entity, not_port_count, not_ports, &port_field,
		   .max = PORTS_MAX),
	FIELD("serviceAccounts", struct calico_entity, accounts, read_object,
	      .shape = &accounts_shape),
	FIELD("services", struct calico_entity, service, read_object, .shape = &service_shape),
	FIELD_LIST("domains", struct calico_entity, domain_count, domains, &domain_field,
		   .max = NETS_MAX),
	FIELD_END
};

const struct shape calico_entity_shape = { .fields = entity_fields, .check = check_entity };
