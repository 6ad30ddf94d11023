/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the CNI plugin leaves on disk (docs/cni-socket.md): one file an attachment, from which a new
 * agent begins, and one a DEL that it could not tell the agent of.
 */
#ifndef MARGAY_AGENT_RECORD_H
#define MARGAY_AGENT_RECORD_H

#include "agent/agent.h"

/* Reads the records: what stands on this node, and ADDs on their way. Watches for releases. */
int records_start(struct agent *agent, struct err *err);
void records_stop(struct agent *agent);

/* Works off what DEL could not tell. */
void records_released(struct agent *agent);

/* Of an attachment that is no more. */
void record_remove(struct agent *agent, const char *container, const char *ifname);

/* The attachment as the plugin recorded it, not committed. NULL: there is no record, or another
 * attachment has its slot. */
struct endpoint *record_restore(struct agent *agent, const char *container, const char *ifname);

#endif
