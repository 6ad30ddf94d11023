/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/connect_time.h"

#include <string.h>

#include "agent/settings.h"
#include "base/err.h"
#include "base/log.h"
#include "dataplane/cgroup.h"

#define PARAMETER "bpfConnectTimeLoadBalancing"

/* What is given is a cgroup2 folder, or one below which a hierarchy is mounted: /sys/fs/cgroup, as
 * that of a host in a container, is either. */
static int find_cgroup(const struct agent *agent, char path[PATH_MAX], struct err *err)
{
	const char *given = agent->config.cgroup ? agent->config.cgroup
						 : state_params(agent->state)->cgroup_path;

	if (!*given)
		return dp_cgroup_find(path, err);
	if (dp_cgroup_find_in(given, path, NULL) < 0)
		snprintf(path, PATH_MAX, "%s", given);
	return 0;
}

void connect_time_attach(struct agent *agent)
{
	char path[PATH_MAX];
	struct err err = { 0 };
	int r;

	if (state_params(agent->state)->connect_time == FELIX_CONNECT_NONE) {
		if (dp_cgroup_detach(agent->config.bpffs))
			log_info("detached", "programs", "sock", NULL);
		settings_problem(agent, PARAMETER, NULL);
		return;
	}
	r = find_cgroup(agent, path, &err);
	if (!r)
		r = dp_cgroup_attach(agent->dp, path, &err);
	if (r > 0)
		log_info("attached", "cgroup", path, "programs", "sock", NULL);
	settings_problem(agent, PARAMETER, r < 0 ? err.text : NULL);
}
