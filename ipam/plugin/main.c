/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margay-ipam: a CNI IPAM plugin (CNI specification 1.1, "IPAM"), for main plugins of others
 * (bridge, macvlan ...). Addresses come from the agent over its socket (docs/cni-socket.md,
 * ipam-allocate, ipam-release, ipam-check); configuration keys are those of the margay plugin.
 * The margay plugin itself needs none of this: for it `ipam.type: margay-ipam` is the agent.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/rpc.h"
#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"
#include "ipam/plugin/agent.h"

/* --- results --------------------------------------------------------------------------------- */

/* "10.0.0.5" or "10.0.0.5/32" from the agent, with a length for the result. */
static json_t *result_ip(const struct cni_config *config, const char *text)
{
	char plain[PREFIX_TEXT_MAX];
	struct mg_prefix prefix;
	json_t *ip;

	if (!text || prefix_parse(text, true, &prefix) < 0)
		return NULL;
	ip = json_pack("{s:s}", "address", prefix_format(&prefix, plain));
	if (config->version < CNI_VERSION_1_0_0)
		json_object_set_new(ip, "version", json_string(prefix_is4(&prefix) ? "4" : "6"));
	return ip;
}

static int result_of(struct plugin_run *run, const json_t *answer)
{
	const json_t *addresses = json_object_get(answer, "addresses"), *item;
	json_t *ips = json_array(), *ip;
	size_t i;

	json_array_foreach(addresses, i, item) {
		ip = result_ip(&run->config, json_string_value(item));
		if (ip)
			json_array_append_new(ips, ip);
	}
	if (!json_array_size(ips)) {
		json_decref(ips);
		return cni_fail(&run->error, CNI_KERNEL,
				"margay-agent's answer: addresses is not as agreed");
	}
	run->output = json_pack("{s:s, s:o, s:[], s:{}}", "cniVersion",
				cni_versions[run->config.version], "ips", ips, "routes", "dns");
	return 0;
}

/* --- commands -------------------------------------------------------------------------------- */

static int command_add(struct plugin_run *run)
{
	_cleanup_json_ json_t *answer = NULL;
	int r;

	/* A DEL that the agent has not heard of yet comes before. */
	r = release_flush(run);
	if (!r)
		r = agent_ask(run, "ipam-allocate", &answer);
	return r < 0 ? r : result_of(run, answer);
}

/* Never needs the agent: what it cannot be told now lies on disk for it. */
static int command_del(struct plugin_run *run)
{
	struct cni_error ignored = run->error;

	if (agent_ask(run, "ipam-release", NULL) >= 0)
		return 0;
	run->error = ignored;
	return release_keep(run);
}

/* The address that ADD gave must still be this attachment's. */
static int command_check(struct plugin_run *run)
{
	const json_t *ips = json_object_get(run->config.prev, "ips"), *item;
	_cleanup_json_ json_t *answer = NULL;
	size_t i, j;
	int r;

	r = agent_ask(run, "ipam-check", &answer);
	/* Without the agent nothing can be said against the address. */
	if (r < 0)
		return run->error.code == CNI_TRY_AGAIN ? 0 : r;
	json_array_foreach(json_object_get(answer, "addresses"), i, item) {
		struct mg_prefix held, given;
		bool found = !ips;
		const json_t *ip;

		if (prefix_parse(json_string_value(item) ?: "", true, &held) < 0)
			continue;
		json_array_foreach(ips, j, ip) {
			const char *text = json_text_or(ip, "address", "");
			union mg_addr a = held.addr, b;

			if (prefix_parse(text, true, &given) < 0)
				continue;
			b = given.addr;
			found |= !addr_cmp(&a, &b);
		}
		if (!found)
			return cni_fail(&run->error, CNI_CHECK_FAILED,
					"address %s is not in prevResult", json_string_value(item));
	}
	return 0;
}

/* The agent collects again when it starts: nothing is lost by its silence. */
static int command_gc(struct plugin_run *run)
{
	int r = agent_ask(run, "ipam-gc", NULL);

	return r < 0 && run->error.code == CNI_TRY_AGAIN ? 0 : r;
}

static int command_status(struct plugin_run *run)
{
	int r = agent_ask(run, "status", NULL);

	if (r < 0 && run->error.code == CNI_TRY_AGAIN)
		run->error.code = CNI_NOT_AVAILABLE;
	return r;
}

static json_t *version_json(void)
{
	json_t *list = json_array();

	for (enum cni_version i = 0; i < CNI_VERSION_MAX; i++)
		json_array_append_new(list, json_string(cni_versions[i]));
	return json_pack("{s:s, s:o}", "cniVersion", cni_versions[CNI_VERSION_MAX - 1],
			 "supportedVersions", list);
}

static int dispatch(struct plugin_run *run)
{
	switch (run->env.command) {
	case CNI_COMMAND_ADD:
		return command_add(run);
	case CNI_COMMAND_DEL:
		return command_del(run);
	case CNI_COMMAND_CHECK:
		return command_check(run);
	case CNI_COMMAND_GC:
		return command_gc(run);
	case CNI_COMMAND_STATUS:
		return command_status(run);
	case CNI_COMMAND_VERSION:
	case CNI_COMMAND_MAX:
		break;
	}
	return 0;
}

static int run_command(struct plugin_run *run, const char *text, size_t size)
{
	int r;

	r = cni_env_read(run->arena, getenv, &run->env, &run->error);
	if (r < 0)
		return r;
	if (run->env.command == CNI_COMMAND_VERSION) {
		run->output = version_json();
		return 0;
	}
	r = cni_config_read(text, size, &run->env, &run->config, &run->error);
	return r < 0 ? r : dispatch(run);
}

/* --- main ------------------------------------------------------------------------------------ */

/* One byte more than the limit is enough to be refused. */
static int read_stdin(char **ret_text, size_t *ret_size)
{
	_cleanup_free_ char *text = xmalloc(CNI_CONFIG_MAX + 1);
	size_t used = 0;

	while (used <= CNI_CONFIG_MAX) {
		ssize_t n = read(STDIN_FILENO, text + used, CNI_CONFIG_MAX + 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		used += (size_t)n;
	}
	*ret_text = TAKE_PTR(text);
	*ret_size = used;
	return 0;
}

static int print(const json_t *tree)
{
	_cleanup_free_ char *text = tree ? json_dumps(tree, JSON_INDENT(4)) : NULL;

	if (!text)
		return 0;
	return puts(text) < 0 || fflush(stdout) ? 1 : 0;
}

int main(void)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	_cleanup_free_ char *text = NULL;
	struct plugin_run run = { .arena = arena };
	size_t size = 0;
	int r;

	if (!getenv("CNI_COMMAND")) {
		fputs("margay-ipam: a CNI IPAM plugin (0.3.1 to 1.1.0), run by other CNI plugins; "
		      "see docs/ipam.md\n",
		      stderr);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	r = read_stdin(&text, &size);
	if (r < 0)
		r = cni_fail(&run.error, CNI_IO, "stdin: %s", strerror(-r));
	else
		r = run_command(&run, text, size);
	if (r < 0) {
		json_decref(run.output);
		run.output = cni_error_json(
			&run.error,
			cni_versions[run.config.tree ? run.config.version : CNI_VERSION_MAX - 1]);
	}
	if (print(run.output))
		r = -EIO;
	json_decref(run.output);
	cni_config_done(&run.config);
	return r < 0 ? 1 : 0;
}
