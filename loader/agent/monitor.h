/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `margayctl monitor`: records of the ring buffer, as they come, to whoever asked.
 *
 * Request {"op":"monitor","from":"ns/pod or address","to":...,"verdict":"dropped|allowed"}; each
 * member may be missing. Each record that fits is one line; a reader too slow gets
 * {"kind":"lost","count":N} instead of what it missed. New flows are recorded only while somebody
 * asks for them, and the ring is mapped only while somebody reads.
 */
#ifndef MARGAY_AGENT_MONITOR_H
#define MARGAY_AGENT_MONITOR_H

#include "agent/agent.h"

void monitor_stop(struct agent *agent);
void monitor_handle(struct agent *agent, struct server_call *call, const json_t *request);

#endif
