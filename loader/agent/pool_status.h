/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of IPPools that an older one keeps out of force (controller/pool_condition.h): who has
 * the cluster's duties writes it. A pool that comes from a manifest cannot be written, and is named
 * by `margayctl status` alone.
 */
#ifndef MARGAY_AGENT_POOL_STATUS_H
#define MARGAY_AGENT_POOL_STATUS_H

#include "agent/agent.h"

void pool_status_later(struct agent *agent); /* which pools are in force has been found */
void pool_status_stop(struct agent *agent);

#endif
