/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the plugin, and its commands (CNI specification 1.1). A command returns 0 and leaves
 * in output what goes to stdout (NULL: nothing), or -errno and error.
 */
#ifndef MARGAY_CNI_PLUGIN_H
#define MARGAY_CNI_PLUGIN_H

#include <jansson.h>

#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"

struct plugin {
	struct cni_env env;
	struct cni_config config;
	struct cni_error error;
	json_t *output;
};

int command_add(struct plugin *plugin);
int command_del(struct plugin *plugin);
int command_check(struct plugin *plugin);
int command_gc(struct plugin *plugin);
int command_status(struct plugin *plugin);

/* The whole of a run: reads the environment by get and the configuration of size bytes, runs the
 * command. ret_output: one JSON text to print, the caller's, "" for none. Returns the exit
 * status. */
int plugin_run(cni_getenv get, const char *text, size_t size, char **ret_output);

#endif
