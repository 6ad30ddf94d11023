/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/config.h"

#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rpc.h"
#include "cni/env.h"
#include "cni/error.h"
#include "cni/request.h"

const char *const cni_versions[CNI_VERSION_MAX] = {
	[CNI_VERSION_0_3_1] = "0.3.1",
	[CNI_VERSION_0_4_0] = "0.4.0",
	[CNI_VERSION_1_0_0] = "1.0.0",
	[CNI_VERSION_1_1_0] = "1.1.0",
};

struct key {
	const char *name;
	/* NULL: accepted, and rightly without effect here */
	int (*read)(struct cni_config *config, const json_t *value, struct cni_error *error);
};

static int bad(struct cni_error *error, const char *key, const char *want)
{
	return cni_fail(error, CNI_BAD_CONFIG, "network configuration: %s: must be %s", key, want);
}

void cni_config_ignore(struct cni_config *config, const char *prefix, const char *key)
{
	char *old = config->ignored;

	config->ignored = arena_printf(config->arena, "%s%s%s%.60s", old ? old : "",
				       old ? ", " : "", prefix, key);
}

/* Reads every key of object by its row; a key without a row is noted. */
static int read_keys(struct cni_config *config, const json_t *object, const char *prefix,
		     const struct key *keys, struct cni_error *error)
{
	const struct key *key;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		int r = 0;

		for (key = keys; key->name && strcmp(key->name, name); key++)
			;
		if (!key->name)
			cni_config_ignore(config, prefix, name);
		else if (key->read && !json_is_null(value))
			r = key->read(config, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

enum cni_version cni_version_of(const char *text)
{
	enum cni_version version = 0;

	while (version < CNI_VERSION_MAX && strcmp(text, cni_versions[version]))
		version++;
	return version;
}

static int read_version(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	if (!json_is_string(value))
		return bad(error, "cniVersion", "a string");
	config->version = cni_version_of(json_string_value(value));
	if (config->version == CNI_VERSION_MAX)
		return cni_fail(error, CNI_BAD_VERSION,
				"cniVersion %.20s: supported are 0.3.1, 0.4.0, 1.0.0, 1.1.0",
				json_string_value(value));
	return 0;
}

/* Specification: begins with a letter or digit, then also underscores, dots and hyphens. */
static int read_name(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	const char *name = json_is_string(value) ? json_string_value(value) : "";

	for (size_t i = 0; name[i]; i++) {
		if (!isalnum((unsigned char)name[i]) && !(i && strchr("_.-", name[i])))
			return bad(error, "name", "letters, digits, and _.- after the first");
	}
	if (!*name || strlen(name) > 128)
		return bad(error, "name", "a string of 1 to 128 characters");
	config->name = name;
	return 0;
}

static int read_path(const char **target, const json_t *value, const char *key,
		     struct cni_error *error)
{
	const char *path = json_string_value(value);

	if (!path || *path != '/' || strlen(path) > 100)
		return bad(error, key, "an absolute path of at most 100 characters");
	*target = path;
	return 0;
}

static int read_socket(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_path(&config->agent_socket, value, "agent_socket", error);
}

static int read_state_dir(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_path(&config->state_dir, value, "state_dir", error);
}

static int read_pin_dir(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_path(&config->pin_dir, value, "pin_dir", error);
}

static int read_net_dir(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_path(&config->net_dir, value, "net_dir", error);
}

static int read_timeout(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	json_int_t ms = json_integer_value(value);

	if (!json_is_integer(value) || ms < 0 || ms > 600000)
		return bad(error, "agent_timeout_ms", "a number from 0 to 600000");
	config->agent_timeout_ms = (int)ms;
	return 0;
}

/* Calico: how long ADD waits for the policy; 0 does not wait. Ours always waits. */
static int read_policy_timeout(struct cni_config *config, const json_t *value,
			       struct cni_error *error)
{
	json_int_t seconds = json_integer_value(value);

	if (!json_is_integer(value) || seconds < 0 || seconds > 600)
		return bad(error, "policy_setup_timeout_seconds", "a number from 0 to 600");
	if (seconds)
		config->agent_timeout_ms = (int)seconds * 1000;
	return 0;
}

static int read_mtu(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	json_int_t mtu = json_integer_value(value);

	if (!json_is_integer(value) || (mtu && (mtu < CNI_MTU_MIN || mtu > CNI_MTU_MAX)))
		return bad(error, "mtu", "0 (the agent's) or a number from 576 to 65535");
	config->mtu = (__u32)mtu;
	return 0;
}

static int read_log_level(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	enum log_level level;

	(void)config;
	if (!json_is_string(value) || log_level_parse(json_string_value(value), &level) < 0)
		return bad(error, "log_level", "debug, info, warning, error or fatal");
	log_set_level(level);
	return 0;
}

static int read_device_type(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	if (!json_is_string(value))
		return bad(error, "device_type", "a string");
	if (*json_string_value(value) && strcmp(json_string_value(value), "veth"))
		cni_config_ignore(config, "device_type=", json_string_value(value));
	return 0;
}

static int read_forwarding(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	if (!json_is_boolean(value))
		return bad(error, "container_settings.allow_ip_forwarding", "true or false");
	config->allow_forwarding = json_is_true(value);
	return 0;
}

static int read_container_settings(struct cni_config *config, const json_t *value,
				   struct cni_error *error)
{
	static const struct key keys[] = {
		{ "allow_ip_forwarding", read_forwarding },
		{ 0 },
	};

	if (!json_is_object(value))
		return bad(error, "container_settings", "an object");
	return read_keys(config, value, "container_settings.", keys, error);
}

static int read_default_routes(struct cni_config *config, const json_t *value,
			       struct cni_error *error)
{
	if (!json_is_boolean(value))
		return bad(error, "include_default_routes", "true or false");
	config->default_routes = json_is_true(value);
	return 0;
}

static int read_dns(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	if (!json_is_object(value))
		return bad(error, "dns", "an object");
	if (json_object_size(value))
		config->dns = value;
	return 0;
}

static int read_prev(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	if (!json_is_object(value))
		return bad(error, "prevResult", "an object");
	config->prev = value;
	return 0;
}

/* The list may be null (Go's empty list), which is not the same as absent. CNI 1.1's first
 * libraries spelled the key differently. */
static int read_valid(struct cni_config *config, struct cni_error *error)
{
	const json_t *value = json_object_get(config->tree, "cni.dev/valid-attachments");

	if (!value)
		value = json_object_get(config->tree, "cni.dev/attachments");
	if (value && !json_is_array(value) && !json_is_null(value))
		return bad(error, "cni.dev/valid-attachments", "a list");
	config->valid = value;
	return 0;
}

/* --- ipam --- */
/* Calico has these as the strings "true" and "false". */
static int read_family(int *target, const json_t *value, const char *key, struct cni_error *error)
{
	const char *text = json_string_value(value);

	if (!json_is_boolean(value) && (!text || (strcmp(text, "true") && strcmp(text, "false"))))
		return bad(error, key, "true or false");
	*target = json_is_true(value) || (text && !strcmp(text, "true"));
	return 0;
}

static int read_assign4(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_family(&config->ipv4, value, "ipam.assign_ipv4", error);
}

static int read_assign6(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_family(&config->ipv6, value, "ipam.assign_ipv6", error);
}

static int read_pools(const json_t **target, const json_t *value, const char *key,
		      struct cni_error *error)
{
	json_t *pool;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > 256)
		return bad(error, key, "a list of at most 256 pools");
	json_array_foreach((json_t *)value, i, pool) {
		if (!json_is_string(pool) || json_string_length(pool) > 253)
			return bad(error, key, "a list of names or nets");
	}
	*target = value;
	return 0;
}

static int read_pools4(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_pools(&config->pools4, value, "ipam.ipv4_pools", error);
}

static int read_pools6(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	return read_pools(&config->pools6, value, "ipam.ipv6_pools", error);
}

static bool is_file_name(const char *text)
{
	for (size_t i = 0; text[i]; i++) {
		if (!isalnum((unsigned char)text[i]) && !(i && strchr("_.-", text[i])))
			return false;
	}
	return *text && strlen(text) < 100;
}

/* Our own and Calico's type mean the agent's addresses; everything else is a plugin to run. */
static int read_ipam(struct cni_config *config, const json_t *value, struct cni_error *error)
{
	static const struct key keys[] = {
		{ "type", NULL },
		{ "assign_ipv4", read_assign4 },
		{ "assign_ipv6", read_assign6 },
		{ "ipv4_pools", read_pools4 },
		{ "ipv6_pools", read_pools6 },
		{ 0 },
	};
	const json_t *type = json_object_get(value, "type");
	const char *name = json_string_value(type);

	if (!json_is_object(value))
		return bad(error, "ipam", "an object");
	if (type && (!name || !is_file_name(name)))
		return bad(error, "ipam.type", "the name of a plugin");
	if (!name || !strcmp(name, "margay-ipam") || !strcmp(name, "calico-ipam"))
		return read_keys(config, value, "ipam.", keys, error);
	config->ipam_type = name;
	return 0;
}

static const struct key top_keys[] = {
	{ "cniVersion", read_version },
	{ "name", read_name },
	{ "type", NULL },
	{ "capabilities", NULL },
	{ "disableCheck", NULL },
	{ "disableGC", NULL },
	{ "cniVersions", NULL },
	{ "agent_socket", read_socket },
	{ "agent_timeout_ms", read_timeout },
	{ "policy_setup_timeout_seconds", read_policy_timeout },
	{ "state_dir", read_state_dir },
	{ "pin_dir", read_pin_dir },
	{ "net_dir", read_net_dir },
	{ "mtu", read_mtu },
	{ "log_level", read_log_level },
	{ "device_type", read_device_type },
	{ "container_settings", read_container_settings },
	{ "include_default_routes", read_default_routes },
	{ "dns", read_dns },
	{ "ipam", read_ipam },
	{ "prevResult", read_prev },
	/* read_valid() */
	{ "cni.dev/valid-attachments", NULL },
	{ "cni.dev/attachments", NULL },
	/* request.c reads these two, one against the other */
	{ "runtimeConfig", NULL },
	{ "args", NULL },
	{ 0 },
};

int cni_config_read(const char *text, size_t size, const struct cni_env *env,
		    struct cni_config *ret_config, struct cni_error *error)
{
	_cleanup_config_ struct cni_config config = {
		.version = CNI_VERSION_MAX,
		.agent_socket = "/run/margay/cni.sock",
		.state_dir = "/var/lib/margay/cni",
		.net_dir = "/etc/cni/net.d",
		.agent_timeout_ms = 10000,
		.ipv4 = -1,
		.ipv6 = -1,
	};
	struct err err;
	int r;

	if (rpc_decode(text, size, CNI_CONFIG_MAX, &config.tree, &err) < 0)
		return cni_fail_err(error, CNI_DECODE, &err, "network configuration on stdin");
	config.arena = arena_new();
	r = read_keys(&config, config.tree, "", top_keys, error);
	if (!r)
		r = read_valid(&config, error);
	if (!r)
		r = cni_request_read(&config, env, error);
	if (r < 0)
		return r;
	if (config.version == CNI_VERSION_MAX)
		return bad(error, "cniVersion", "given");
	if (!config.name)
		return bad(error, "name", "given");
	*ret_config = config;
	memset(&config, 0, sizeof(config));
	return 0;
}

void cni_config_done(struct cni_config *config)
{
	json_decref(config->labels);
	json_decref(config->ips);
	json_decref(config->ports);
	json_decref(config->tree);
	arena_free(config->arena);
	memset(config, 0, sizeof(*config));
}
