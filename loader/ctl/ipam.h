/* SPDX-License-Identifier: Apache-2.0 */
/* What the `ipam` verbs share: the cluster's IPAM objects in one list, and small parsers. */
#ifndef MARGAY_CTL_IPAM_H
#define MARGAY_CTL_IPAM_H

#include <linux/types.h>

#include "ctl/ctl.h"
#include "ipam/check.h"

enum ipam_list {
	LIST_POOLS,
	LIST_BLOCKS,
	LIST_RESERVATIONS,
	LIST_CONFIGURATIONS,
	LIST_AFFINITIES,
	LIST_HANDLES,
	LIST_NODES,
	LIST_PODS,
	LIST_WORKLOADS,
	LIST_MAX
};

struct ipam_view {
	json_t *lists[LIST_MAX]; /* arrays; NULL: not read */
};

/* Lists of one moment, those before end; messages are printed. */
int ipam_view_read(struct ctl *ctl, enum ipam_list end, struct ipam_view *ret_view);
void ipam_view_done(struct ipam_view *view);
struct ipam_objects ipam_view_objects(const struct ipam_view *view);

__u64 ipam_now(void);

/* "true", "false" ... as Go's flags take them; -EINVAL. */
int parse_bool(const char *text, bool *ret_value);
/* A decimal number from 0 to limit; -EINVAL. */
int parse_number(const char *text, long limit, long *ret_value);

#endif
