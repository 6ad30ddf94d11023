/* SPDX-License-Identifier: Apache-2.0 */
#include "model/felix_env.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/cleanup.h"

#define PREFIX "FELIX_"

enum form { FORM_BOOL, FORM_INT, FORM_TEXT, FORM_LIST, FORM_PORTS, FORM_PAIRS };

#define FORM_pattern FORM_TEXT
#define FORM_rate FORM_TEXT
#define FORM_nat_address FORM_TEXT
#define FORM_nat_ports FORM_TEXT
#define FORM_nets FORM_LIST
#define FORM_failsafes FORM_PORTS
#define FORM_timeouts FORM_PAIRS

struct parameter {
	const char *name; /* in the object */
	enum form form;
};

static const struct parameter parameters[] = {
#define FELIX_BOOL(member, name, ...) { name, FORM_BOOL },
#define FELIX_INT(member, name, ...) { name, FORM_INT },
#define FELIX_TEXT(member, name, ...) { name, FORM_TEXT },
#define FELIX_ENUM(member, name, ...) { name, FORM_TEXT },
#define FELIX_OWN(member, type, name, decoder, ...) { name, FORM_##decoder },
#include "model/felix.def"
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN
#define FELIX_KNOWN(name) { name, FORM_TEXT },
#include "model/felix_known.def"
#undef FELIX_KNOWN
};

/* Parameters that Felix calls otherwise in its environment. */
static const struct {
	const char *variable;
	const char *name;
} other_names[] = {
	{ "ipinipmtu", "ipipMTU" },
	{ "ipinipenabled", "ipipEnabled" },
	{ "debugbpfcgroupv2", "cgroupV2Path" },
};

/* What no parameter is called stays as it was written, and is reported as unknown. */
static struct parameter find(const char *variable)
{
	const char *name = variable;

	for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++) {
		if (!strcasecmp(other_names[i].variable, variable))
			name = other_names[i].name;
	}
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (!strcasecmp(parameters[i].name, name))
			return parameters[i];
	}
	return (struct parameter){ variable, FORM_TEXT };
}

/* --- values --------------------------------------------------------------------------------- */

static json_t *bool_of(const char *text)
{
	static const char *const yes[] = { "true", "1", "yes", "y", "t" };
	static const char *const no[] = { "false", "0", "no", "n", "f" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcasecmp(text, yes[i]))
			return json_true();
		if (!strcasecmp(text, no[i]))
			return json_false();
	}
	return json_string(text);
}

static json_t *int_of(const char *text)
{
	char *end;
	long long number = strtoll(text, &end, 10);

	return *text && !*end ? json_integer(number) : json_string(text);
}

/* "22", "tcp:22", "udp:10.0.0.0/8:53"; networks of IPv6 have colons themselves. */
static json_t *port_of(const char *text)
{
	const char *first = strchr(text, ':'), *last = strrchr(text, ':');
	_cleanup_free_ char *protocol =
		first ? xasprintf("%.*s", (int)(first - text), text) : xstrdup("tcp");
	json_t *port = json_pack("{s:s,s:o}", "protocol", protocol, "port",
				 int_of(last ? last + 1 : text));

	if (last > first)
		json_object_set_new(port, "net",
				    json_stringn(first + 1, (size_t)(last - first - 1)));
	return port;
}

/* "tcpSynSent=20s" */
static void add_pair(json_t *object, const char *text)
{
	const size_t size = strcspn(text, "=");
	_cleanup_free_ char *name = xasprintf("%.*s", (int)size, text);

	/* TCPSynSent, UDPTimeout, ICMPTimeout: Felix's own writing of the object's names */
	for (size_t i = 0;
	     isupper((unsigned char)name[i]) && (!i || isupper((unsigned char)name[i + 1])); i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	json_object_set_new(object, name, json_string(text[size] ? text + size + 1 : ""));
}

static char *next_item(const char **list)
{
	size_t size, end;
	char *item;

	*list += strspn(*list, ", \t");
	if (!**list)
		return NULL;
	size = strcspn(*list, ",");
	for (end = size; end && strchr(" \t", (*list)[end - 1]);)
		end--;
	item = xasprintf("%.*s", (int)end, *list);
	*list += size;
	return item;
}

static json_t *items_of(const char *list, enum form form)
{
	json_t *out = form == FORM_PAIRS ? json_object() : json_array();
	char *item;

	if (!strcasecmp(list, "none"))
		return out;
	while ((item = next_item(&list))) {
		if (form == FORM_PAIRS)
			add_pair(out, item);
		else
			json_array_append_new(out, form == FORM_LIST ? json_string(item)
								     : port_of(item));
		free(item);
	}
	return out;
}

static json_t *value_of(const char *text, enum form form)
{
	switch (form) {
	case FORM_BOOL:
		return bool_of(text);
	case FORM_INT:
		return int_of(text);
	case FORM_LIST:
	case FORM_PORTS:
	case FORM_PAIRS:
		return items_of(text, form);
	case FORM_TEXT:
		break;
	}
	return json_string(text);
}

static void take(json_t *spec, const char *variable)
{
	const char *value = strchr(variable, '=');
	_cleanup_free_ char *name = NULL;
	struct parameter parameter;

	if (!value || !value[1] || strncasecmp(variable, PREFIX, strlen(PREFIX)) != 0)
		return;
	variable += strlen(PREFIX);
	name = xasprintf("%.*s", (int)(value - variable), variable);
	parameter = find(name);
	json_object_set_new(spec, parameter.name, value_of(value + 1, parameter.form));
}

json_t *felix_environment(char *const *environment)
{
	json_t *spec = json_object();

	for (; *environment; environment++)
		take(spec, *environment);
	if (!json_object_size(spec)) {
		json_decref(spec);
		return NULL;
	}
	return json_pack("{s:s,s:s,s:{s:s},s:o}", "apiVersion", "projectcalico.org/v3", "kind",
			 "FelixConfiguration", "metadata", "name", "default", "spec", spec);
}
