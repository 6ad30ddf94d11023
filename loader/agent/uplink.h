/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uplinks: the interfaces that bpfDataIfacePattern names, with our programs on them, and the idle
 * VXLAN device. Nothing is attached to an interface that does not match. Slaves of a bond or bridge
 * are left to their master.
 */
#ifndef MARGAY_AGENT_UPLINK_H
#define MARGAY_AGENT_UPLINK_H

#include "agent/agent.h"

/* Looks at the links anew: fills agent->uplinks and agent->facts. */
int uplinks_look(struct agent *agent, struct err *err);
/* The same without the idle VXLAN device: changes nothing outside of the agent's memory. */
int uplinks_foresee(struct agent *agent, struct err *err);

/* Attaches to what came, checks that ours are first, and detaches from what matches no more. Goes
 * on after a failure; the first one is returned. */
int uplinks_attach(struct agent *agent, struct err *err);
bool uplink_is_attached(const struct agent *agent, int ifindex);

/* MTU of an uplink, 0 if it is none. */
uint32_t uplink_mtu(const struct agent *agent, int ifindex);

#endif
