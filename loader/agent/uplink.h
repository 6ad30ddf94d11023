/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uplinks: the interfaces that bpfDataIfacePattern names, with our programs on them, and the idle
 * VXLAN device. Nothing is attached to an interface that does not match. Slaves of a bond or bridge
 * are left to their master.
 */
#ifndef MARGAY_AGENT_UPLINK_H
#define MARGAY_AGENT_UPLINK_H

#include "agent/agent.h"

/* Looks at the links anew: fills agent->uplinks and agent->facts, attaches to what came and checks
 * that ours are first. Goes on after a failure; the first one is returned. */
int uplinks_refresh(struct agent *agent, struct err *err);

/* MTU of an uplink, 0 if it is none. */
uint32_t uplink_mtu(const struct agent *agent, int ifindex);

#endif
