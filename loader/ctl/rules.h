/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules about an object and what is stored beside it, which no look at the object alone can check:
 * what may not change, what may not overlap, what may not be deleted (Calico's validation of
 * IPPools and tiers).
 */
#ifndef MARGAY_CTL_RULES_H
#define MARGAY_CTL_RULES_H

#include "ctl/job.h"

/* -EINVAL, and err says what was expected. */
int rules_check(const struct jobs *jobs, const struct job *job, struct err *err);

#endif
