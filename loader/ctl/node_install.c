/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl node install: what the installing container does on a node, and what a person may do
 * on a host: the plugins into the runtime's folder of programs, then the network list into its
 * folder of networks. Each file is replaced in one step, the list last: a runtime never sees a
 * list whose plugins are not there, nor half a file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "ctl/verb.h"

#define PROGRAM_MAX (64 * 1024 * 1024)
#define LIST_MAX 65536
#define MTU_MARK "__CNI_MTU__"

struct install {
	struct ctl *ctl;
	const char *from;     /* folder of the plugins to install */
	const char *programs; /* folder of the runtime's */
	const char *networks;
	const char *list; /* file of the network list to install */
	const char *name; /* what it is called there */
};

enum { OPTION_FROM = 'f', OPTION_PROGRAMS = 'p', OPTION_NETWORKS = 'w', OPTION_LIST = 'l' };

static const struct argp_option options[] = {
	{ "from", OPTION_FROM, "DIR", 0, "plugins to install (/opt/cni/bin)", 0 },
	{ "programs", OPTION_PROGRAMS, "DIR", 0, "where to (/host/opt/cni/bin)", 0 },
	{ "networks", OPTION_NETWORKS, "DIR", 0, "lists of networks (/host/etc/cni/net.d)", 0 },
	{ "list", OPTION_LIST, "FILE", 0,
	  "the list, where CNI_NETWORK_CONFIG is not set (/usr/share/margay/10-margay.conflist)",
	  0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct install *install = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = install->ctl;
		return 0;
	case OPTION_FROM:
		install->from = arg;
		return 0;
	case OPTION_PROGRAMS:
		install->programs = arg;
		return 0;
	case OPTION_NETWORKS:
		install->networks = arg;
		return 0;
	case OPTION_LIST:
		install->list = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- programs ------------------------------------------------------------------------------ */

static bool is_ours(const char *name)
{
	return !strncmp(name, "margay", 6);
}

static bool stands_so(int folder, const char *name, const char *data, size_t size)
{
	_cleanup_free_ char *there = NULL;
	struct stat now;
	size_t there_size;

	return fstatat(folder, name, &now, 0) == 0 && (now.st_mode & 0777) == 0755 &&
	       file_read(folder, name, PROGRAM_MAX, &there, &there_size) == 0 &&
	       there_size == size && !memcmp(there, data, size);
}

/* Others' plugins (portmap, loopback) are only put where there are none. */
static int install_program(struct install *install, int from, int to, const char *name)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	int r;

	if (!is_ours(name) && faccessat(to, name, F_OK, 0) == 0)
		return 0;
	r = file_read(from, name, PROGRAM_MAX, &data, &size);
	if (r < 0) {
		ctl_error(install->ctl, "%s/%s: %s", install->from, name, strerror(-r));
		return r;
	}
	if (stands_so(to, name, data, size))
		return 0;
	r = file_replace(to, name, data, size, 0755);
	if (r < 0)
		ctl_error(install->ctl, "%s/%s: %s", install->programs, name, strerror(-r));
	else
		printf("%s/%s installed\n", install->programs, name);
	return r;
}

static int open_folder(struct install *install, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		ctl_error(install->ctl, "%s: %s", path, strerror(errno));
	return fd;
}

static int install_programs(struct install *install)
{
	_cleanup_close_ int from = open_folder(install, install->from);
	_cleanup_close_ int to = open_folder(install, install->programs);
	int r = 0, copy = from < 0 || to < 0 ? -1 : dup(from);
	struct dirent *entry;
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);

	if (!folder)
		return -EIO;
	while (!r && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = install_program(install, from, to, entry->d_name);
	closedir(folder);
	return r;
}

/* --- the list ------------------------------------------------------------------------------ */

static char *with_mtu(const char *text)
{
	const char *mtu = getenv("CNI_MTU"), *at = strstr(text, MTU_MARK);

	if (!at)
		return xstrdup(text);
	return xasprintf("%.*s%s%s", (int)(at - text), text, mtu && *mtu ? mtu : "0",
			 at + strlen(MTU_MARK));
}

/* The environment's (ConfigMap key cni_network_config), else the file's. */
static char *list_text(struct install *install)
{
	const char *given = getenv("CNI_NETWORK_CONFIG");
	_cleanup_free_ char *read = NULL;
	size_t size;
	int r;

	if (given && *given)
		return with_mtu(given);
	r = file_read(AT_FDCWD, install->list, LIST_MAX, &read, &size);
	if (r < 0) {
		ctl_error(install->ctl, "%s: %s", install->list, strerror(-r));
		return NULL;
	}
	return with_mtu(read);
}

static bool is_list(struct install *install, const char *text)
{
	json_error_t error;
	json_t *root = json_loads(text, 0, &error);
	bool good = json_is_string(json_object_get(root, "name")) &&
		    json_array_size(json_object_get(root, "plugins")) > 0;

	if (!root)
		ctl_error(install->ctl, "the network list, line %d: %s", error.line, error.text);
	else if (!good)
		ctl_error(install->ctl, "the network list: expected \"name\" and \"plugins\"");
	json_decref(root);
	return good;
}

/* Runtimes take the first list by name. */
static void warn_of_first(struct install *install, int networks)
{
	int copy = dup(networks);
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		const char *ending = strrchr(entry->d_name, '.');

		if (entry->d_name[0] != '.' && ending && strcmp(entry->d_name, install->name) < 0 &&
		    (!strcmp(ending, ".conflist") || !strcmp(ending, ".conf") ||
		     !strcmp(ending, ".json")))
			ctl_warning(install->ctl,
				    "%s/%s comes before %s: runtimes take it. Remove it, or give "
				    "CNI_CONF_NAME an earlier name",
				    install->networks, entry->d_name, install->name);
	}
	if (folder)
		closedir(folder);
}

static int install_list(struct install *install)
{
	_cleanup_close_ int networks = open_folder(install, install->networks);
	_cleanup_free_ char *text = networks < 0 ? NULL : list_text(install), *there = NULL;
	size_t size;
	int r;

	if (!text || !is_list(install, text))
		return -EINVAL;
	if (file_read(networks, install->name, LIST_MAX, &there, &size) < 0 ||
	    strcmp(there, text) != 0) {
		r = file_replace(networks, install->name, text, strlen(text), 0644);
		if (r < 0) {
			ctl_error(install->ctl, "%s/%s: %s", install->networks, install->name,
				  strerror(-r));
			return r;
		}
		printf("%s/%s installed\n", install->networks, install->name);
	}
	warn_of_first(install, networks);
	return 0;
}

int verb_node_install(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { .options = options,
				   .parser = parse,
				   .doc = "Installs the plugins and the network list on a node. "
					  "CNI_NETWORK_CONFIG is the list, CNI_MTU what stands for "
					  "__CNI_MTU__ in it, CNI_CONF_NAME its file.",
				   .children = children };
	const char *name = getenv("CNI_CONF_NAME");
	struct install install = { .ctl = ctl,
				   .from = "/opt/cni/bin",
				   .programs = "/host/opt/cni/bin",
				   .networks = "/host/etc/cni/net.d",
				   .list = "/usr/share/margay/10-margay.conflist",
				   .name = name && *name ? name : "10-margay.conflist" };

	if (argp_parse(&argp, argc, argv, 0, NULL, &install))
		return 1;
	if (strchr(install.name, '/')) {
		ctl_error(ctl, "CNI_CONF_NAME: \"%s\" is no file name", install.name);
		return 1;
	}
	if (install_programs(&install) == 0)
		install_list(&install);
	return ctl->failed;
}
