/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which interfaces are uplinks: one answer for the agent, which acts on it, and for `margayctl node
 * plan`, which tells it before.
 */
#ifndef MARGAY_DATAPLANE_UPLINK_H
#define MARGAY_DATAPLANE_UPLINK_H

#include <regex.h>

#include "dataplane/netlink.h"

/* Up, named by the pattern (bpfDataIfacePattern, POSIX extended), and not the slave of a bond or
 * bridge, whose master it is then. */
bool uplink_matches(const struct net_link *link, const regex_t *pattern);

#endif
