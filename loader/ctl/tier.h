/* SPDX-License-Identifier: Apache-2.0 */
/* Tiers and the policies in them, for who deletes the one or looks at the other. */
#ifndef MARGAY_CTL_TIER_H
#define MARGAY_CTL_TIER_H

#include <jansson.h>

#include "ctl/job.h"

/* -EINVAL: a tier cannot be deleted, since it is built in, or has policies that are not deleted by
 * the same jobs. */
int tier_may_go(const struct jobs *jobs, const char *name, struct err *err);

/* Marks policies whose tier is not there, for tier_status(). Without a store nothing is marked. */
void tiers_mark(struct store *store, json_t *policies);

/* A cell: "inactive: there is no tier x", NULL: the policy is in a tier. The caller frees. */
char *tier_status(const json_t *policy);

#endif
