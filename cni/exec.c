/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/exec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/exec.h"

static bool is_ours(const char *variable)
{
	static const char *const names[] = { "CNI_COMMAND=", "CNI_CONTAINERID=", "CNI_NETNS=",
					     "CNI_IFNAME=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	}
	return false;
}

/* The child's environment; strings and list belong to the arena. */
static char **environment(struct arena *arena, const struct cni_exec *exec)
{
	size_t count = 0, used = 0;
	char **list;

	while (environ[count])
		count++;
	list = arena_array(arena, count + 5, sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		if (!is_ours(environ[i]))
			list[used++] = environ[i];
	}
	list[used++] = arena_printf(arena, "CNI_COMMAND=%s", exec->command);
	list[used++] = arena_printf(arena, "CNI_CONTAINERID=%s", exec->container);
	list[used++] = arena_printf(arena, "CNI_NETNS=%s", exec->netns);
	list[used++] = arena_printf(arena, "CNI_IFNAME=%s", exec->ifname);
	return list;
}

int cni_exec(const struct cni_exec *exec, int *ret_status, char **ret_output, struct err *err)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	/* a name alone, as libcni's FindInPath demands: a path would leave CNI_PATH */
	_cleanup_free_ char *file =
		strchr(exec->plugin, '/') ? NULL : exec_find(exec->plugin, exec->path);
	const char *name = arena_printf(arena, "plugin %s", exec->plugin);
	char *argv[] = { file, NULL };

	if (!file)
		return err_set(err, -ENOENT, "%s is in no folder of CNI_PATH (%.200s)", name,
			       exec->path);
	return exec_run(&(struct exec){ .file = file,
					.name = name,
					.argv = argv,
					.environment = environment(arena, exec),
					.input = exec->input,
					.output_max = CNI_EXEC_OUTPUT_MAX,
					.deadline = exec->deadline },
			ret_status, ret_output, err);
}
