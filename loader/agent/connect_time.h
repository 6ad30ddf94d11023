/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services at connect time: socket programs at the root of a cgroup2 hierarchy, as
 * bpfConnectTimeLoadBalancing says (docs/services.md). Without such a hierarchy, or where another's
 * program allows no second one, the node's own sockets do not reach services; `status` says so, and
 * everything else works.
 */
#ifndef MARGAY_AGENT_CONNECT_TIME_H
#define MARGAY_AGENT_CONNECT_TIME_H

#include "agent/agent.h"

/* Attaches, repairs or takes off. A failure is reported and tried again with the next look. */
void connect_time_attach(struct agent *agent);

#endif
