/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/plugin.h"

#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/rpc.h"

struct command {
	int (*run)(struct plugin *plugin);
	enum cni_version since;
};

static const struct command commands[CNI_COMMAND_MAX] = {
	[CNI_COMMAND_ADD] = { command_add, CNI_VERSION_0_3_1 },
	[CNI_COMMAND_DEL] = { command_del, CNI_VERSION_0_3_1 },
	[CNI_COMMAND_CHECK] = { command_check, CNI_VERSION_0_4_0 },
	[CNI_COMMAND_GC] = { command_gc, CNI_VERSION_1_1_0 },
	[CNI_COMMAND_STATUS] = { command_status, CNI_VERSION_1_1_0 },
};

/* VERSION needs no configuration but a cniVersion, and that may be of the future. */
static json_t *version_json(const char *text, size_t size)
{
	_cleanup_json_ json_t *asked = json_loadb(text, size, 0, NULL);
	const char *version = json_string_value(json_object_get(asked, "cniVersion"));
	json_t *list = json_array();

	for (enum cni_version i = 0; i < CNI_VERSION_MAX; i++)
		json_array_append_new(list, json_string(cni_versions[i]));
	return json_pack("{s:s, s:o}", "cniVersion",
			 version ? version : cni_versions[CNI_VERSION_MAX - 1], "supportedVersions",
			 list);
}

static int run(struct plugin *plugin, const char *text, size_t size)
{
	const struct command *command = &commands[plugin->env.command];
	int r;

	if (plugin->env.command == CNI_COMMAND_VERSION) {
		plugin->output = version_json(text, size);
		return 0;
	}
	r = cni_config_read(text, size, &plugin->env, &plugin->config, &plugin->error);
	if (r < 0)
		return r;
	if (plugin->config.version < command->since)
		return cni_fail(&plugin->error, CNI_BAD_VERSION,
				"%s came with CNI %s, the configuration says %s",
				cni_command_names[plugin->env.command],
				cni_versions[command->since], cni_versions[plugin->config.version]);
	return command->run(plugin);
}

/* An error speaks the version of the configuration, where there is one of ours. */
static const char *error_version(const struct plugin *plugin, const char *text, size_t size,
				 json_t **ret_tree)
{
	const char *version;

	if (plugin->config.tree)
		return cni_versions[plugin->config.version];
	*ret_tree = json_loadb(text, size, 0, NULL);
	version = json_string_value(json_object_get(*ret_tree, "cniVersion"));
	if (version && cni_version_of(version) < CNI_VERSION_MAX)
		return version;
	return cni_versions[CNI_VERSION_MAX - 1];
}

int plugin_run(cni_getenv get, const char *text, size_t size, char **ret_output)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	_cleanup_json_ json_t *output = NULL, *tree = NULL;
	_cleanup_free_ char *dump = NULL;
	struct plugin plugin = { 0 };
	int r;

	r = cni_env_read(arena, get, &plugin.env, &plugin.error);
	if (!r)
		r = run(&plugin, text, size);
	output = plugin.output;
	if (r < 0) {
		json_decref(output);
		output = cni_error_json(&plugin.error, error_version(&plugin, text, size, &tree));
	}
	dump = output ? json_dumps(output, JSON_INDENT(4)) : NULL;
	/* One text, so that a reader gets it whole. */
	*ret_output = dump ? xasprintf("%s\n", dump) : xstrdup("");
	cni_config_done(&plugin.config);
	return r < 0 ? 1 : 0;
}
