/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>

#include "base/err.h"
#include "dataplane/dp.h"
#include "dataplane/sys.h"

const struct dp_map *dp_get_map(const struct dp *dp, const char *name)
{
	for (size_t i = 0; i < dp->row_count; i++) {
		if (!strcmp(dp->rows[i].name, name))
			return dp->rows[i].map.fd >= 0 ? &dp->rows[i].map : NULL;
	}
	return NULL;
}

int dp_prog_fd(const struct dp *dp, const char *name)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (!strcmp(dp_progs[i].name, name))
			return dp->prog[i] >= 0 ? dp->prog[i] : -ENOENT;
	}
	return -ENOENT;
}

const char *dp_group_error(const struct dp *dp, enum dp_group group)
{
	return group < DP_GROUP_MAX ? dp->group_error[group] : NULL;
}

bool dp_adopted(const struct dp *dp)
{
	return dp->adopted;
}

bool dp_is_in_force(const struct dp *dp)
{
	return dp->in_force;
}

const char *dp_root(const struct dp *dp)
{
	return dp->root;
}

/* Made in this dp_open(), and not to be filled from a former one. */
bool dp_flows_are_new(const struct dp *dp)
{
	for (size_t i = 0; i < dp->row_count; i++) {
		const struct dp_row *row = &dp->rows[i];

		if (row->made &&
		    (!strcmp(row->name, "mg_flow_e") || !strcmp(row->name, "mg_flow_t")) &&
		    (row->former.fd < 0 || !dp->former_runtime))
			return true;
	}
	return false;
}

/* An update of a map of maps waits for a grace period of RCU (maybe_wait_bpf_programs). */
static int grace_by_map(struct dp *dp)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	__u32 zero = 0;

	if (dp->grace[0] < 0)
		dp->grace[0] = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mg_grace", 4, 4, 1, NULL);
	if (dp->grace[0] < 0)
		return dp->grace[0];
	opts.inner_map_fd = (__u32)dp->grace[0];
	if (dp->grace[1] < 0)
		dp->grace[1] =
			bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "mg_grace_of", 4, 4, 1, &opts);
	if (dp->grace[1] < 0)
		return dp->grace[1];
	return bpf_map_update_elem(dp->grace[1], &zero, &dp->grace[0], BPF_ANY);
}

int dp_grace(struct dp *dp)
{
	if (!syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		return 0;
	return grace_by_map(dp);
}
