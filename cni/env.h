/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CNI_* environment of one run of the plugin (CNI specification, "Parameters"), validated.
 * Strings belong to the arena given.
 */
#ifndef MARGAY_CNI_ENV_H
#define MARGAY_CNI_ENV_H

#include <stddef.h>

struct arena;
struct cni_error;

#define CNI_CONTAINER_MAX 200 /* with an interface name and ".json" it is a file name */

enum cni_command {
	CNI_COMMAND_ADD,
	CNI_COMMAND_DEL,
	CNI_COMMAND_CHECK,
	CNI_COMMAND_GC,
	CNI_COMMAND_STATUS,
	CNI_COMMAND_VERSION,
	CNI_COMMAND_MAX
};
extern const char *const cni_command_names[CNI_COMMAND_MAX];

struct cni_env {
	enum cni_command command;
	const char *container; /* "" for GC, STATUS and VERSION */
	const char *netns;     /* "": not given */
	const char *ifname;
	const char *path; /* CNI_PATH: folders of plugins, colons between */
	/* of CNI_ARGS; "": not given */
	const char *pod_namespace;
	const char *pod;
	const char *pod_uid;
	const char *ip; /* addresses, commas between */
	const char *mac;
};

/* A function that looks a variable up: getenv(), or a table in a test. */
typedef char *(*cni_getenv)(const char *name);

int cni_env_read(struct arena *arena, cni_getenv get, struct cni_env *ret_env,
		 struct cni_error *error);

#endif
