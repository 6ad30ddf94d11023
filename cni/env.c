/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/env.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/arena.h"
#include "cni/error.h"

#define ARGS_MAX 8192
#define TEXT_MAX 4096

const char *const cni_command_names[CNI_COMMAND_MAX] = {
	[CNI_COMMAND_ADD] = "ADD",	 [CNI_COMMAND_DEL] = "DEL",
	[CNI_COMMAND_CHECK] = "CHECK",	 [CNI_COMMAND_GC] = "GC",
	[CNI_COMMAND_STATUS] = "STATUS", [CNI_COMMAND_VERSION] = "VERSION",
};

static int read_command(const char *text, enum cni_command *ret_command, struct cni_error *error)
{
	for (enum cni_command i = 0; text && i < CNI_COMMAND_MAX; i++) {
		if (!strcmp(text, cni_command_names[i])) {
			*ret_command = i;
			return 0;
		}
	}
	return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_COMMAND: %.40s: not a command of CNI 1.1",
			text ? text : "(unset)");
}

static int check_container(const char *text, struct cni_error *error)
{
	size_t size = strlen(text);

	if (!size)
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID is missing");
	if (size > CNI_CONTAINER_MAX)
		return cni_fail(error, CNI_BAD_ENVIRONMENT,
				"CNI_CONTAINERID: %zu characters, at most %d", size,
				CNI_CONTAINER_MAX);
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && !(i && strchr("_.-", text[i])))
			return cni_fail(error, CNI_BAD_ENVIRONMENT,
					"CNI_CONTAINERID: character %zu is neither letter nor "
					"digit (nor, after the first, one of _.-)",
					i + 1);
	}
	return 0;
}

/* The kernel's rule for device names, and the specification's: no slash, colon or space. */
static int check_ifname(const char *text, struct cni_error *error)
{
	size_t size = strlen(text);

	if (!size)
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_IFNAME is missing");
	if (size >= IFNAMSIZ)
		return cni_fail(error, CNI_BAD_ENVIRONMENT,
				"CNI_IFNAME: %zu characters, at most %d", size, IFNAMSIZ - 1);
	if (!strcmp(text, ".") || !strcmp(text, ".."))
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_IFNAME: %s is no name", text);
	for (size_t i = 0; i < size; i++) {
		if (!isgraph((unsigned char)text[i]) || strchr("/:%", text[i]))
			return cni_fail(error, CNI_BAD_ENVIRONMENT,
					"CNI_IFNAME: character %zu is not allowed", i + 1);
	}
	return 0;
}

static const char *args_value(struct arena *arena, const char *args, const char *key)
{
	size_t size = strlen(key);

	for (const char *p = args; p; p = strchr(p, ';') ? strchr(p, ';') + 1 : NULL) {
		if (!strncmp(p, key, size) && p[size] == '=')
			return arena_printf(arena, "%.*s", (int)strcspn(p + size + 1, ";"),
					    p + size + 1);
	}
	return "";
}

/* CNI_ARGS: KEY=VALUE;KEY=VALUE. Unknown keys are others' (IgnoreUnknown is the rule by now). */
static int read_args(struct arena *arena, const char *args, struct cni_env *env,
		     struct cni_error *error)
{
	if (strlen(args) > ARGS_MAX)
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_ARGS: %zu bytes, at most %d",
				strlen(args), ARGS_MAX);
	for (const char *p = args; *p; p += strcspn(p, ";"), p += *p == ';') {
		size_t pair = strcspn(p, ";");

		if (pair && !memchr(p, '=', pair))
			return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_ARGS: %.*s: no KEY=VALUE",
					pair > 40 ? 40 : (int)pair, p);
	}
	env->pod_namespace = args_value(arena, args, "K8S_POD_NAMESPACE");
	env->pod = args_value(arena, args, "K8S_POD_NAME");
	env->pod_uid = args_value(arena, args, "K8S_POD_UID");
	env->ip = args_value(arena, args, "IP");
	env->mac = args_value(arena, args, "MAC");
	return 0;
}

/* They end in files, requests and messages: printable ASCII, as all of them are by their own rules.
 */
static int check_printable(const char *name, const char *text, struct cni_error *error)
{
	if (strlen(text) > TEXT_MAX)
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "%s: more than %d bytes", name,
				TEXT_MAX);
	for (; *text; text++) {
		if (!isprint((unsigned char)*text))
			return cni_fail(error, CNI_BAD_ENVIRONMENT, "%s: holds a byte %d", name,
					(unsigned char)*text);
	}
	return 0;
}

static const char *text_of(struct arena *arena, cni_getenv get, const char *name)
{
	const char *text = get(name);

	return text ? arena_strdup(arena, text) : "";
}

int cni_env_read(struct arena *arena, cni_getenv get, struct cni_env *ret_env,
		 struct cni_error *error)
{
	struct cni_env env = { 0 };
	int r;

	r = read_command(get("CNI_COMMAND"), &env.command, error);
	if (r < 0)
		return r;
	env.container = text_of(arena, get, "CNI_CONTAINERID");
	env.netns = text_of(arena, get, "CNI_NETNS");
	env.ifname = text_of(arena, get, "CNI_IFNAME");
	env.path = text_of(arena, get, "CNI_PATH");
	r = read_args(arena, text_of(arena, get, "CNI_ARGS"), &env, error);
	if (r < 0)
		return r;
	if (check_printable("CNI_NETNS", env.netns, error) < 0 ||
	    check_printable("K8S_POD_NAMESPACE", env.pod_namespace, error) < 0 ||
	    check_printable("K8S_POD_NAME", env.pod, error) < 0 ||
	    check_printable("K8S_POD_UID", env.pod_uid, error) < 0)
		return -EIO;
	if (env.command <= CNI_COMMAND_CHECK) {
		r = check_container(env.container, error);
		if (!r)
			r = check_ifname(env.ifname, error);
		if (r < 0)
			return r;
	}
	if ((env.command == CNI_COMMAND_ADD || env.command == CNI_COMMAND_CHECK) && !*env.netns)
		return cni_fail(error, CNI_BAD_ENVIRONMENT, "CNI_NETNS is missing");
	*ret_env = env;
	return 0;
}
