/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `margayctl monitor`: records of the ring buffer, as they come, to whoever asked.
 *
 * Request {"op":"monitor","from":"ns/pod or address","to":...,"verdict":"dropped|allowed",
 * "kernel_drops":true}; each member may be missing. Each record that fits is one line; a reader too
 * slow gets {"kind":"lost","count":N} instead of what it missed. New flows are recorded only while
 * somebody asks for them, and the ring is mapped only while somebody reads. With kernel_drops come
 * what the kernel itself drops, as
 * {"kind":"kernel-drop","function":...,"pod":...} and the fields of a drop, and
 * {"kind":"suppressed","count":N} for what was too much to tell one by one.
 */
#ifndef MARGAY_AGENT_MONITOR_H
#define MARGAY_AGENT_MONITOR_H

#include "agent/agent.h"

struct mg_kdrop;

void monitor_stop(struct agent *agent);
/* Log rules are in force from now on, or none any more (packet_log.c). */
void monitor_logs(struct agent *agent);
/* From kernel_drops.c. */
void monitor_kernel_drop(struct agent *agent, const struct mg_kdrop *drop);
void monitor_suppressed(struct agent *agent, uint64_t count);

void monitor_handle(struct agent *agent, struct server_call *call, const json_t *request);

#endif
