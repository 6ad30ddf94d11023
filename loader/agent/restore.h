/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a former agent left in the pinned maps: numbers of nodes, identities, sets and rules, so
 * that a new agent renumbers nothing under traffic and writes only the difference.
 */
#ifndef MARGAY_AGENT_RESTORE_H
#define MARGAY_AGENT_RESTORE_H

#include "agent/agent.h"

int restore_read(struct agent *agent, struct err *err);

#endif
