/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/config.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/yaml.h"

#define DEFAULT_FILE "/etc/margay/agent.yaml"
#define FILE_LIMIT 65536
#define TRIAL_MAX 3600

enum {
	OPTION_CONFIG = 'c',
	OPTION_NODE = 'n',
	OPTION_DATASTORE = 'd',
	OPTION_MANIFESTS = 0x100,
	OPTION_BPFFS,
	OPTION_CGROUP,
	OPTION_RUN_DIR,
	OPTION_STATE_DIR,
	OPTION_IPV4,
	OPTION_IPV6,
	OPTION_IPV4_METHOD,
	OPTION_IPV6_METHOD,
	OPTION_LOG_LEVEL,
	OPTION_HOST_TRIAL,
};

/* One row a setting: option, key of the file, environment, place, built-in value. */
static const struct setting {
	int option;
	const char *key;
	const char *environment;
	size_t offset;
	const char *value;
} settings[] = {
	{ OPTION_NODE, "nodeName", "NODENAME", offsetof(struct agent_config, node), NULL },
	{ OPTION_DATASTORE, "datastore", "MARGAY_DATASTORE",
	  offsetof(struct agent_config, datastore), "dir:/var/lib/margay/store" },
	{ OPTION_MANIFESTS, "manifests", NULL, offsetof(struct agent_config, manifests),
	  "/etc/margay/manifests.d" },
	{ OPTION_BPFFS, "bpffs", NULL, offsetof(struct agent_config, bpffs), "/sys/fs/bpf/margay" },
	{ OPTION_CGROUP, "cgroup", "MARGAY_CGROUP", offsetof(struct agent_config, cgroup), NULL },
	{ OPTION_RUN_DIR, "runDir", NULL, offsetof(struct agent_config, run_dir), "/run/margay" },
	{ OPTION_STATE_DIR, "stateDir", NULL, offsetof(struct agent_config, state_dir),
	  "/var/lib/margay" },
	{ OPTION_IPV4, "ipv4", "IP", offsetof(struct agent_config, ip4), "autodetect" },
	{ OPTION_IPV6, "ipv6", "IP6", offsetof(struct agent_config, ip6), "autodetect" },
	{ OPTION_IPV4_METHOD, "ipv4Method", "IP_AUTODETECTION_METHOD",
	  offsetof(struct agent_config, ip4_method), "first-found" },
	{ OPTION_IPV6_METHOD, "ipv6Method", "IP6_AUTODETECTION_METHOD",
	  offsetof(struct agent_config, ip6_method), "first-found" },
	{ OPTION_LOG_LEVEL, "logLevel", NULL, offsetof(struct agent_config, log_level), NULL },
	{ OPTION_HOST_TRIAL, "hostPolicyTrial", NULL,
	  offsetof(struct agent_config, host_trial_text), "30s" },
};

static const struct argp_option options[] = {
	{ "config", OPTION_CONFIG, "FILE", 0, "settings (" DEFAULT_FILE ")", 0 },
	{ "node", OPTION_NODE, "NAME", 0, "this node's name (the host's name)", 0 },
	{ "datastore", OPTION_DATASTORE, "STORE", 0, "dir:PATH, kubernetes[:KUBECONFIG]", 0 },
	{ "manifests", OPTION_MANIFESTS, "DIR", 0, "objects people write; only read", 0 },
	{ "bpffs", OPTION_BPFFS, "DIR", 0, "where programs and maps are pinned", 0 },
	{ "cgroup", OPTION_CGROUP, "DIR", 0, "cgroup2 folder whose processes reach services", 0 },
	{ "run-dir", OPTION_RUN_DIR, "DIR", 0, "sockets", 0 },
	{ "state-dir", OPTION_STATE_DIR, "DIR", 0, "journal and attachments", 0 },
	{ "ipv4", OPTION_IPV4, "ADDRESS", 0, "ADDRESS/LENGTH, autodetect or none", 0 },
	{ "ipv6", OPTION_IPV6, "ADDRESS", 0, "ADDRESS/LENGTH, autodetect or none", 0 },
	{ "ipv4-method", OPTION_IPV4_METHOD, "METHOD", 0,
	  "first-found, interface=, skip-interface=, cidr=, can-reach=, kubernetes-internal-ip",
	  0 },
	{ "ipv6-method", OPTION_IPV6_METHOD, "METHOD", 0, "the same for IPv6", 0 },
	{ "host-policy-trial", OPTION_HOST_TRIAL, "SECONDS", 0,
	  "until host policy that cuts the datastore off is taken back (30s; 0: never)", 0 },
	{ "log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "debug, info, warning, error, fatal", 0 },
	{ 0 },
};

static char **place(struct agent_config *config, const struct setting *setting)
{
	return (char **)((char *)config + setting->offset);
}

static void put(char **target, const char *value)
{
	free(*target);
	*target = xstrdup(value);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct agent_config *config = state->input;

	if (key == OPTION_CONFIG) {
		put(&config->file, value);
		return 0;
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (settings[i].option == key) {
			put(place(config, &settings[i]), value);
			return 0;
		}
	}
	return ARGP_ERR_UNKNOWN;
}

/* Command line and environment came first: the file fills what is still open. */
static int take_key(struct agent_config *config, const char *path, const char *key, json_t *value,
		    struct err *err)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].key, key))
			continue;
		if (!json_is_string(value))
			return err_set(err, -EINVAL, "%s: %s: must be a string", path, key);
		if (!*place(config, &settings[i]))
			put(place(config, &settings[i]), json_string_value(value));
		return 0;
	}
	return err_set(err, -EINVAL, "%s: %s: no such setting", path, key);
}

static int read_file(struct agent_config *config, struct err *err)
{
	const char *path = config->file ? config->file : DEFAULT_FILE;
	_cleanup_free_ char *text = NULL;
	_cleanup_docs_ struct docs *docs = NULL;
	json_t *root, *value;
	const char *key;
	size_t size;
	int r;

	r = file_read(AT_FDCWD, path, FILE_LIMIT, &text, &size);
	if (r == -ENOENT && !config->file)
		return 0;
	if (r < 0)
		return err_errno(err, r, "%s", path);
	r = docs_read(text, size, &docs, err);
	if (r < 0)
		return err_wrap(err, r, "%s", path);
	if (!docs->count)
		return 0;
	root = docs->v[0].root;
	if (docs->count > 1 || !json_is_object(root))
		return err_set(err, -EINVAL, "%s: must be one mapping of settings", path);
	json_object_foreach(root, key, value) {
		r = take_key(config, path, key, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void fill_defaults(struct agent_config *config)
{
	char host[65] = "localhost";

	if (!config->node) {
		gethostname(host, sizeof(host) - 1);
		config->node = xstrdup(host);
		for (char *p = config->node; *p; p++)
			*p = (char)tolower((unsigned char)*p);
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (!*place(config, &settings[i]) && settings[i].value)
			put(place(config, &settings[i]), settings[i].value);
	}
}

static void read_environment(struct agent_config *config)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *name = settings[i].environment;
		const char *value = name ? getenv(name) : NULL;

		if (value && *value && !*place(config, &settings[i]))
			put(place(config, &settings[i]), value);
	}
}

/* "30s", "30". */
static int take_trial(struct agent_config *config, struct err *err)
{
	const char *text = config->host_trial_text;
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || (*end && strcmp(end, "s")) || seconds > TRIAL_MAX)
		return err_set(err, -EINVAL, "hostPolicyTrial \"%s\": not 0 to %ds", text,
			       TRIAL_MAX);
	config->host_trial = (unsigned int)seconds;
	return 0;
}

int agent_config_load(struct agent_config *config, int argc, char **argv, struct err *err)
{
	static const struct argp argp = {
		options, parse_option,
		NULL,	 "Margay's agent: fills the maps of this node from the datastore.",
		NULL,	 NULL,
		NULL
	};
	int r;

	memset(config, 0, sizeof(*config));
	if (argp_parse(&argp, argc, argv, 0, NULL, config))
		return err_set(err, -EINVAL, "command line");
	read_environment(config);
	r = read_file(config, err);
	if (r < 0)
		return r;
	fill_defaults(config);
	config->level = LOG_LEVEL_INFO;
	if (config->log_level && log_level_parse(config->log_level, &config->level) < 0)
		return err_set(err, -EINVAL,
			       "log level \"%s\": not debug, info, warning, error or fatal",
			       config->log_level);
	return take_trial(config, err);
}

void agent_config_done(struct agent_config *config)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		free(*place(config, &settings[i]));
	free(config->file);
	memset(config, 0, sizeof(*config));
}
