/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "datastore/store.h"

static const struct {
	const char *api, *kind;
} kinds[LIST_MAX] = {
	[LIST_POOLS] = { "projectcalico.org/v3", "IPPool" },
	[LIST_BLOCKS] = { "projectcalico.org/v3", "IPAMBlock" },
	[LIST_RESERVATIONS] = { "projectcalico.org/v3", "IPReservation" },
	[LIST_CONFIGURATIONS] = { "projectcalico.org/v3", "IPAMConfiguration" },
	[LIST_AFFINITIES] = { "projectcalico.org/v3", "BlockAffinity" },
	[LIST_HANDLES] = { "projectcalico.org/v3", "IPAMHandle" },
	[LIST_NODES] = { "v1", "Node" },
	[LIST_PODS] = { "v1", "Pod" },
	[LIST_WORKLOADS] = { "projectcalico.org/v3", "WorkloadEndpoint" },
};

int ipam_view_read(struct ctl *ctl, enum ipam_list end, struct ipam_view *ret_view)
{
	struct store_query queries[LIST_MAX] = {};
	struct store_list lists[LIST_MAX];
	struct err err = {};
	int r;

	for (unsigned int i = 0; i < end; i++)
		queries[i].kind = store_kind_find(kinds[i].api, kinds[i].kind);
	r = ctl_store(ctl, false, &err);
	if (!r)
		r = store_list(ctl->store, queries, end, lists, &err);
	if (r < 0) {
		ctl_error(ctl, "%s", err.text);
		return r;
	}
	*ret_view = (struct ipam_view){};
	for (unsigned int i = 0; i < end; i++) {
		ret_view->lists[i] = json_incref(lists[i].items);
		store_list_done(&lists[i]);
	}
	return 0;
}

void ipam_view_done(struct ipam_view *view)
{
	for (int i = 0; i < LIST_MAX; i++)
		json_decref(view->lists[i]);
}

struct ipam_objects ipam_view_objects(const struct ipam_view *view)
{
	return (struct ipam_objects){
		.pools = view->lists[LIST_POOLS],
		.blocks = view->lists[LIST_BLOCKS],
		.reservations = view->lists[LIST_RESERVATIONS],
		.configurations = view->lists[LIST_CONFIGURATIONS],
		.affinities = view->lists[LIST_AFFINITIES],
		.handles = view->lists[LIST_HANDLES],
		.nodes = view->lists[LIST_NODES],
		.pods = view->lists[LIST_PODS],
		.workloads = view->lists[LIST_WORKLOADS],
	};
}

__u64 ipam_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (__u64)ts.tv_sec * 1000 + (__u64)ts.tv_nsec / 1000000;
}

int parse_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = { "true", "True", "TRUE", "t", "1" };
	static const char *const no[] = { "false", "False", "FALSE", "f", "0" };

	for (int i = 0; i < 5; i++) {
		if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
			*ret_value = !strcmp(text, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

int parse_number(const char *text, long limit, long *ret_value)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < 0 || value > limit)
		return -EINVAL;
	*ret_value = value;
	return 0;
}
