/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/request.h"

#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"
#include "cni/names.h"
#include "cni/ports.h"

static int bad(struct cni_error *error, const char *key, const char *want)
{
	return cni_fail(error, CNI_BAD_CONFIG, "network configuration: %s: must be %s", key, want);
}

/* One address, with or without a length, into the list; one of each family at most. */
static int add_ip(json_t *list, const char *text, const char *key, struct cni_error *error)
{
	char plain[ADDR_TEXT_MAX];
	struct mg_prefix prefix;
	union mg_addr addr, other;
	json_t *value;
	size_t i;

	if (!text || prefix_parse(text, true, &prefix) < 0)
		return bad(error, key, "a list of addresses");
	addr = prefix.addr;
	json_array_foreach(list, i, value) {
		if (addr_parse(json_string_value(value), &other) == 0 &&
		    addr_is4(&other) == addr_is4(&addr))
			return bad(error, key, "at most one address of each family");
	}
	json_array_append_new(list, json_string(addr_format(&addr, plain)));
	return 0;
}

static int read_ips(struct cni_config *config, const json_t *ips, const char *key,
		    struct cni_error *error)
{
	json_t *value;
	size_t i;
	int r = 0;

	if (!json_is_array(ips))
		return bad(error, key, "a list of addresses");
	if (!json_array_size(ips) || config->ips)
		return 0;
	config->ips = json_array();
	json_array_foreach((json_t *)ips, i, value) {
		r = add_ip(config->ips, json_string_value(value), key, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_mac(struct cni_config *config, const char *text, const char *key,
		    struct cni_error *error)
{
	__u8 mac[6];

	if (!text || mac_parse(text, mac) < 0)
		return bad(error, key, "a MAC address of a single station, as 02:00:5e:10:00:01");
	if (!config->mac)
		config->mac = text;
	return 0;
}

static int read_runtime(struct cni_config *config, const json_t *runtime, struct cni_error *error)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)runtime, name, value) {
		if (!strcmp(name, "ips"))
			r = read_ips(config, value, "runtimeConfig.ips", error);
		else if (!strcmp(name, "mac"))
			r = read_mac(config, json_string_value(value), "runtimeConfig.mac", error);
		else if (!strcmp(name, "bandwidth") && json_is_object(value))
			r = bandwidth_read(value, &config->bandwidth, error);
		else if (!strcmp(name, "dns") && json_is_object(value))
			config->dns = value;
		else if (!strcmp(name, "portMappings") && !config->ports)
			r = ports_read(value, &config->ports, error);
		else
			cni_config_ignore(config, "runtimeConfig.", name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_label(struct cni_config *config, const json_t *key, const json_t *value,
		     struct cni_error *error)
{
	const char *text = json_string_value(key);

	if (!text || !*text || strlen(text) > 317 || !json_is_string(value) ||
	    json_string_length(value) > 63)
		return bad(error, "args.cni.labels", "names and values as Kubernetes has them");
	if (json_object_size(config->labels) >= CNI_LABELS_MAX)
		return bad(error, "args.cni.labels", "at most 64 labels");
	json_object_set(config->labels, text, (json_t *)value);
	return 0;
}

/* The conventions have a list of {key, value}; an object is what people write. */
static int read_labels(struct cni_config *config, const json_t *labels, struct cni_error *error)
{
	const char *name;
	json_t *value;
	size_t i;
	int r = 0;

	if (!json_is_array(labels) && !json_is_object(labels))
		return bad(error, "args.cni.labels", "an object or a list of {key, value}");
	config->labels = json_object();
	json_array_foreach((json_t *)labels, i, value) {
		r = add_label(config, json_object_get(value, "key"),
			      json_object_get(value, "value"), error);
		if (r < 0)
			return r;
	}
	json_object_foreach((json_t *)labels, name, value) {
		json_t *key = json_string(name);

		r = add_label(config, key, value, error);
		json_decref(key);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_args(struct cni_config *config, const json_t *args, struct cni_error *error)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)args, name, value) {
		if (!strcmp(name, "ips"))
			r = read_ips(config, value, "args.cni.ips", error);
		else if (!strcmp(name, "mac"))
			r = read_mac(config, json_string_value(value), "args.cni.mac", error);
		else if (!strcmp(name, "labels"))
			r = read_labels(config, value, error);
		else
			cni_config_ignore(config, "args.cni.", name);
		if (r < 0)
			return r;
	}
	return 0;
}

/* IP=10.0.0.5,fd00::5 */
static int read_ip_list(struct cni_config *config, const char *text, struct cni_error *error)
{
	size_t size;
	int r = 0;

	if (config->ips || !*text)
		return 0;
	config->ips = json_array();
	for (; !r; text += size + 1) {
		size = strcspn(text, ",");
		r = add_ip(config->ips, arena_printf(config->arena, "%.*s", (int)size, text),
			   "CNI_ARGS IP", error);
		if (!text[size])
			break;
	}
	return r;
}

int cni_request_read(struct cni_config *config, const struct cni_env *env, struct cni_error *error)
{
	const json_t *runtime = json_object_get(config->tree, "runtimeConfig");
	const json_t *args = json_object_get(json_object_get(config->tree, "args"), "cni");
	int r;

	if (runtime && !json_is_object(runtime) && !json_is_null(runtime))
		return bad(error, "runtimeConfig", "an object");
	r = read_runtime(config, runtime, error);
	if (!r)
		r = read_args(config, args, error);
	if (!r)
		r = read_ip_list(config, env->ip, error);
	if (!r && *env->mac)
		r = read_mac(config, env->mac, "CNI_ARGS MAC", error);
	return r;
}
