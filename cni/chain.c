/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/chain.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "cni/config.h"

struct search {
	const struct cni_config *config;
	const json_t *own; /* our configuration, without what runtimes put in */
	bool found;
	bool unsure;
};

/* Those of containernetworking/plugins that leave queueing disciplines and filters alone. */
static bool is_harmless(const json_t *plugin)
{
	static const char *const known[] = { "firewall", "portmap", "sbr", "tuning" };
	const char *type = json_string_value(json_object_get(plugin, "type"));

	for (size_t i = 0; type && i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcmp(known[i], type))
			return true;
	}
	return false;
}

/* A configuration as a person wrote it (specification, "Deriving request configuration"). */
static json_t *as_written(const json_t *plugin)
{
	static const char *const added[] = {
		"capabilities", "cniVersion", "cni.dev/attachments", "cni.dev/valid-attachments",
		"name",		"prevResult", "runtimeConfig"
	};
	json_t *copy = json_copy((json_t *)plugin);

	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
		json_object_del(copy, added[i]);
	return copy;
}

static bool is_ours(const struct search *search, const json_t *plugin)
{
	_cleanup_json_ json_t *copy = as_written(plugin);

	return copy && json_equal(copy, search->own);
}

/* libcni 1.3 and later append what lies in a folder of the network's name. */
static bool has_folder(const struct search *search, const char *folder, const json_t *list)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, search->config->name);
	struct stat st;

	return !json_is_true(json_object_get(list, "loadOnlyInlinedPlugins")) && !stat(path, &st);
}

static void visit_list(struct search *search, const json_t *list)
{
	bool behind = false;
	json_t *plugin;
	size_t i;

	json_array_foreach(json_object_get(list, "plugins"), i, plugin) {
		if (behind)
			search->unsure |= !is_harmless(plugin);
		else
			behind = is_ours(search, plugin);
	}
	search->found |= behind;
	search->unsure |= !behind;
}

static void visit(struct search *search, const char *folder, const char *file)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, file), *text = NULL;
	_cleanup_json_ json_t *tree = NULL;
	const char *name;
	size_t size;

	if (file_read(AT_FDCWD, path, CNI_CONFIG_MAX, &text, &size) < 0)
		return;
	tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	name = json_string_value(json_object_get(tree, "name"));
	if (!name || strcmp(name, search->config->name))
		return;
	if (json_object_get(tree, "plugins"))
		visit_list(search, tree);
	else if (is_ours(search, tree))
		search->found = true;
	else
		search->unsure = true;
	search->unsure |= has_folder(search, folder, tree);
}

static bool is_network(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot && (!strcmp(dot, ".conflist") || !strcmp(dot, ".conf") || !strcmp(dot, ".json"));
}

bool chain_leaves_clsact(const struct cni_config *config)
{
	_cleanup_json_ json_t *own = as_written(config->tree);
	struct search search = { .config = config, .own = own };
	DIR *dir = opendir(config->net_dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (is_network(entry->d_name))
			visit(&search, config->net_dir, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return search.found && !search.unsure;
}
