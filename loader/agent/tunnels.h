/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnel addresses of this node, one a kind of tunnel and family that a pool asks for, taken from
 * IPAM under Calico's handles ("vxlan-tunnel-addr-<node>") and published in the Node. They are
 * what Calico's nodes need to make a VTEP of this one (docs/decisions/tunnel-addresses.md). One
 * whose pool wants no such tunnel any more goes back.
 */
#ifndef MARGAY_AGENT_TUNNELS_H
#define MARGAY_AGENT_TUNNELS_H

#include "agent/agent.h"

/* Compares what pools ask for with what is held; asks and releases. */
void tunnels_refresh(struct agent *agent);
/* After ipam_close(). */
void tunnels_stop(struct agent *agent);

/* Sets and removes projectcalico.org/IPv4VXLANTunnelAddr and its kin. */
void tunnels_annotate(const struct agent *agent, json_t *annotations);

#endif
